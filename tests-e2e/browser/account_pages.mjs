// Somebody opens an account and protects it, in a real browser with a virtual authenticator (WebDriver-style, over CDP).
// Usage: node account_pages.mjs <origin> <operator's e-mail> <password> [folder for screenshots]. Prints what the pages showed.

import { join } from "node:path";
import { launch } from "./chromium.mjs";

const [origin, operator, operatorPassword, screenshots] = process.argv.slice(2);
const EMAIL = "grace@example.com";
const PASSWORD = "seven quiet lanterns drifting";
const OTHER = "nine loud kettles whistling";

async function call(path, { method = "GET", body, token } = {}) {
  const headers = { "content-type": "application/json", ...(token ? { authorization: `Bearer ${token}` } : {}) };
  const answer = await fetch(origin + path, { method, headers, body: body && JSON.stringify(body) });
  return answer.json();
}

const { accessToken } = await call("/api/v1/auth/login", { method: "POST", body: { email: operator, password: operatorPassword } });

/** The link in the newest mail of a kind, as an operator reads it in the outbox. */
async function link(kind) {
  const { data } = await call(`/api/v1/mail?allTenants=true&kind=${kind}`, { token: accessToken });
  return data[0].text.match(/http\S+/)[0];
}

const browser = await launch();
try {
  const context = await browser.newContext({ viewport: { width: 900, height: 1000 } });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  const seen = { problems: [] };
  page.on("pageerror", (error) => seen.problems.push(error.message));
  page.on("console", (message) => message.type() === "error" && /Security Policy/.test(message.text()) && seen.problems.push(message.text()));
  const shot = (name) => (screenshots ? page.screenshot({ path: join(screenshots, `account-${name}.png`), fullPage: true }) : null);
  const text = (selector) => page.locator(selector).innerText();

  const devtools = await context.newCDPSession(page);
  await devtools.send("WebAuthn.enable");
  await devtools.send("WebAuthn.addVirtualAuthenticator", {
    options: { protocol: "ctap2", transport: "usb", hasResidentKey: false, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
  });

  // Register: what is wrong is said at its field, then a link confirms the address.
  await page.goto(`${origin}/access.html#register`);
  await page.fill("#register-company", "Compilers");
  await page.fill("#register-first", "Grace");
  await page.fill("#register-email", EMAIL);
  await page.fill("#register-password", "password1234");
  await page.click("#register-form [type=submit]");
  await page.waitForSelector("#register-password[aria-invalid=true]");
  seen.weak = { error: await text("#register-password-error"), focus: await page.evaluate(() => document.activeElement.id) };
  await shot("register");
  await page.fill("#register-password", PASSWORD);
  await page.click("#register-form [type=submit]");
  await page.waitForSelector("#finished:not([hidden])");
  await page.goto("about:blank");
  await page.goto(await link("registration"));
  seen.secretStays = page.url().includes("=");
  await page.click("#follow-go");
  await page.waitForSelector("#call:not([hidden])");
  seen.who = await text("#who");

  // Enrol the authenticator.
  await page.click("#who");
  await page.waitForSelector("#factors:not([hidden])");
  await page.click("#add-passkey");
  seen.missing = await text("#factor-password-error");
  await page.fill("#factor-password", PASSWORD);
  await page.click("#add-passkey");
  await page.waitForSelector("#codes:not([hidden])");
  const codes = await page.locator("#code-list li").allInnerTexts();
  seen.codes = codes.length;
  seen.passkey = (await text("#factor-list .what")).replace(/,.*/, "");
  await page.click("#add-app");
  await page.waitForSelector("#qr svg path");
  seen.qrIsSquare = await page.evaluate(() => {
    const { width, height } = document.querySelector("#qr svg").getBoundingClientRect();
    return width > 100 && Math.abs(width - height) < 2;
  });

  // A key is shown once.
  await page.fill("#key-name", "Server");
  await page.click("#key-form [type=submit]");
  await page.waitForSelector("#new-key:not([hidden])");
  seen.key = (await text("#new-key-text")).slice(0, 10);
  await shot("account");
  seen.overflows = [];
  await page.setViewportSize({ width: 360, height: 800 });
  seen.overflows.push(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth));
  await shot("account-narrow");
  await page.setViewportSize({ width: 900, height: 1000 });

  // The password alone opens nothing any more; the passkey does.
  const logIn = async (password) => {
    await page.waitForSelector("#login:not([hidden])");
    await page.fill("#email", EMAIL);
    await page.fill("#password", password);
    await page.click("#login-submit");
    await page.waitForSelector("#second:not([hidden])");
  };
  await page.goto(`${origin}/`);
  await page.waitForSelector("#call:not([hidden])");
  await page.click("#logout");
  await logIn(PASSWORD);
  seen.focus = await page.evaluate(() => document.activeElement.id);
  await shot("second");
  await page.click("#second-passkey");
  await page.waitForSelector("#call:not([hidden])");

  // The other environment, for the whole log-in.
  await page.selectOption("#environment", "sandbox");
  await page.waitForFunction(() => JSON.parse(sessionStorage.getItem("voisnap.session")).environment === "sandbox");
  await page.reload();
  await page.waitForSelector("#call:not([hidden])");
  seen.environment = await page.inputValue("#environment");

  // A forgotten password; then a wrong and a right recovery code.
  await page.click("#logout");
  await page.click("text=Forgot your password?");
  await page.waitForSelector("#forgot:not([hidden])");
  await page.fill("#forgot-email", EMAIL);
  await page.click("#forgot-form [type=submit]");
  await page.waitForSelector("#finished:not([hidden])");
  await page.goto("about:blank");
  await page.goto(await link("password_reset"));
  await page.fill("#reset-password", OTHER);
  await shot("reset");
  await page.click("#reset-form [type=submit]");
  await page.waitForSelector("#finished:not([hidden])");
  await page.click("text=Go on");
  await logIn(OTHER);
  await page.fill("#code", "wrong-codes");
  await page.click("#second-submit");
  await page.waitForSelector("#code[aria-invalid=true]");
  seen.wrongCode = await text("#code-error");
  await page.fill("#code", codes[0]);
  await page.click("#second-submit");
  await page.waitForSelector("#call:not([hidden])");

  // An old link says so.
  await page.goto("about:blank");
  await page.goto(`${origin}/access.html#unlock=made-up`);
  await page.click("#follow-go");
  await page.waitForSelector("#alert:not([hidden])");
  seen.oldLink = await text("#alert-detail");
  console.log(JSON.stringify(seen));
} finally {
  await browser.close();
}
