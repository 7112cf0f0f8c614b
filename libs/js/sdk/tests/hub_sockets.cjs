// The server of the WebSocket package that SignalR's client uses under Node.js.
exports.WebSocketServer = require("ws").Server;
