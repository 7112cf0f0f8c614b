// The official client where every request may reach another process, and where its own process dies; prints what it saw as JSON.
// Usage: node relayed.cjs <hub url>. Once it has printed "ready <transport>", the test ends the process that holds the connection.
const signalR = require("@microsoft/signalr");
const [url] = process.argv.slice(2);

async function through(transport) {
  const connection = new signalR.HubConnectionBuilder()
    .withUrl(url, { transport })
    .withAutomaticReconnect([0, 100, 200, 500])
    .configureLogging(signalR.LogLevel.None)
    .build();
  const seen = { echoes: 0, pushed: [] };
  const pushed = new Promise((resolve) =>
    connection.on("Counted", (number, text) => {
      seen.pushed.push(number);
      if (text.length !== 1000) seen.short = text.length;
      if (number === 40) resolve();
    }),
  );
  await connection.start();
  for (let number = 0; number < 20; number++) {
    const text = `é ${number}`;
    if ((await connection.invoke("Echo", text)) === text) seen.echoes++;
  }
  await connection.invoke("CountTo", 40);
  await pushed;
  const reconnected = new Promise((resolve) => connection.onreconnected(resolve));
  console.log(`ready ${signalR.HttpTransportType[transport]}`);
  await reconnected;
  seen.after = await connection.invoke("Echo", "after");
  await connection.stop();
  seen.state = connection.state;
  return seen;
}

(async () => {
  const seen = {};
  for (const transport of [signalR.HttpTransportType.ServerSentEvents, signalR.HttpTransportType.LongPolling])
    seen[signalR.HttpTransportType[transport]] = await through(transport);
  console.log(JSON.stringify(seen));
  process.exit(0);
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
