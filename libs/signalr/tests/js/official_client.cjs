// Puts the official client through one hub and prints what it saw as one JSON object.
// Usage: node official_client.cjs <hub url> <token>; @microsoft/signalr is found by NODE_PATH.
const signalR = require("@microsoft/signalr");
const [url, token] = process.argv.slice(2);
const seen = {};

const reason = (promise) => promise.then(() => null, (error) => error.message);
const builder = (hubUrl, options = {}) =>
  new signalR.HubConnectionBuilder()
    .withUrl(hubUrl, { accessTokenFactory: () => token, ...options })
    .configureLogging(signalR.LogLevel.None);

function once(connection, event) {
  return new Promise((resolve) => connection.on(event, (...values) => resolve(values)));
}

async function talk(name, hubUrl, options) {
  const connection = builder(hubUrl, options).build();
  const welcome = once(connection, "Welcome");
  const noted = once(connection, "Noted");
  await connection.start();
  const result = { welcome: (await welcome)[0], idMatches: (await welcome)[1] === connection.connectionId };
  result.echo = await connection.invoke("Echo", "hé “quoted”   ok");
  result.caseless = await connection.invoke("eCHO", "x");
  result.point = await connection.invoke("MovePointAsync", { xAxis: 1, yAxis: 2 });
  result.isVoid = (await connection.invoke("Note", [1, null, { a: "b" }])) === undefined;
  result.noted = await noted;
  await connection.send("Note", 1);
  result.refused = await reason(connection.invoke("Refuse"));
  result.broken = await reason(connection.invoke("Break"));
  result.unknown = await reason(connection.invoke("Nothing"));
  result.badArguments = await reason(connection.invoke("Echo", 1, 2));
  result.stream = await new Promise((resolve) =>
    connection.stream("Echo", "x").subscribe({ next() {}, complete: () => resolve(null), error: (e) => resolve(e.message) }),
  );
  result.many = (await Promise.all([...Array(200).keys()].map((n) => connection.invoke("Echo", String(n)))))
    .every((value, n) => value === String(n));
  await connection.stop();
  result.state = connection.state;
  seen[name] = result;
}

async function closedByServer(name, reconnect) {
  const plan = builder(url);
  if (reconnect) plan.withAutomaticReconnect([0, 0, 0]);
  const connection = plan.build();
  const closed = new Promise((resolve) => connection.onclose((error) => resolve(error ? error.message : null)));
  const back = new Promise((resolve) => connection.onreconnected(() => resolve("reconnected")));
  await connection.start();
  const left = connection.invoke("LeaveAsync", reconnect);
  seen[name] = { answer: await left.catch((error) => error.message), end: await Promise.race([closed, back]) };
  await connection.stop();
}

async function main() {
  await talk("negotiated", url);
  await talk("direct", url, { skipNegotiation: true, transport: signalR.HttpTransportType.WebSockets });
  await closedByServer("closedForGood", false);
  await closedByServer("closedToReconnect", true);
  const tooLarge = builder(url).build();
  const closed = new Promise((resolve) => tooLarge.onclose((error) => resolve(error.message)));
  await tooLarge.start();
  tooLarge.invoke("Echo", "x".repeat(33000)).catch(() => {});
  seen.tooLarge = await closed;
  seen.unauthorized = await reason(builder(url, { accessTokenFactory: () => "bad" }).build().start());
  seen.noSuchHub = await reason(builder(url + "x").build().start());
  seen.longPolling = await reason(
    builder(url, { transport: signalR.HttpTransportType.LongPolling }).build().start(),
  );
  console.log(JSON.stringify(seen));
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
