// One call: microphone, session, signalling hub and audio connection. Knows nothing of the page.
//
// Events (CustomEvent, `detail` as said): "state" connecting|connected|reconnecting|ended · "agent" listening|thinking|
// speaking · "started" SessionStarted · "transcription" Transcription · "turn" TurnCompleted · "cleared" ·
// "microphone" MediaStream · "audio" MediaStream · "fault" {title, detail} · "ended" {reason, durationSeconds}.

import * as faults from "./faults.js";

const { HubConnectionBuilder, LogLevel } = globalThis.signalR;

const RECONNECT_DELAYS_MS = [0, 500, 1000, 2000, 4000, 8000];
// ICE reports "disconnected" for every short loss; only a lasting one is worth a restart.
const DISCONNECTED_GRACE_MS = 3000;
const CONNECT_TIMEOUT_MS = 20_000;
const MAX_ICE_RESTARTS = 3;
// An agent that is silent still sends a packet every 400 ms: without any for this long after a loss, the audio is gone with its server.
const STILL_HEARD_MS = 900;
// What a server that let go of the call had sent before is here by then.
const IN_FLIGHT_MS = 100;
// Without any packet for this long the server is taken for dead, although nothing has said so.
const SILENT_MS = 3000;
const WATCH_MS = 500;

export class Call extends EventTarget {
  #session;
  #agentId;
  #hub = null;
  #peer = null;
  #microphone = null;
  #iceServers = [];
  #pendingCandidates = [];
  #iceRestarts = 0;
  #iceTimer = null;
  #connectTimer = null;
  #watchTimer = null;
  #sessionToken = null;
  #resumeToken = null;
  #isRestoring = false;
  #isOver = false;
  #startedAt = null;

  constructor(session, agentId) {
    super();
    this.#session = session;
    this.#agentId = agentId;
  }

  /** Resolves when the offer is on its way; every failure ends the call with a "fault". */
  async start() {
    this.#tell("state", "connecting");
    try {
      await this.#openMicrophone();
      const opened = await this.#openSession();
      this.#iceServers = opened.iceServers;
      this.#sessionToken = opened.sessionToken;
      await this.#openHub();
      await this.#offer();
      this.#connectTimer = setTimeout(() => this.#fail(faults.MEDIA_FAILED), CONNECT_TIMEOUT_MS);
    } catch (error) {
      this.#fail(error.fault ?? { title: "The call couldn’t be started", detail: error.message });
    }
  }

  setMuted(isMuted) {
    for (const track of this.#microphone?.getAudioTracks() ?? []) track.enabled = !isMuted;
  }

  async hangUp() {
    if (this.#isOver) return;
    await this.#withTimeout(this.#hub?.invoke("EndSessionAsync", "user_ended"), 2000);
    this.#end({ reason: "user_ended" });
  }

  // Setting up

  async #openMicrophone() {
    try {
      this.#microphone = await navigator.mediaDevices.getUserMedia({
        audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
        video: false,
      });
    } catch (error) {
      throw withFault(error, faults.microphoneFault(error));
    }
    if (this.#isOver) return this.#release();
    this.#microphone.getAudioTracks()[0]?.addEventListener("ended", () =>
      this.#tell("fault", { title: "The microphone is gone", detail: "It was unplugged or taken away. The agent can’t hear you." }),
    );
    this.#tell("microphone", this.#microphone);
  }

  async #openSession() {
    try {
      return await this.#session.request("/api/v1/webrtc/sessions", { method: "POST", body: { agentId: this.#agentId } });
    } catch (error) {
      throw withFault(error, faults.apiFault(error));
    }
  }

  async #openHub() {
    // https, not wss: the client negotiates with fetch, which knows no wss addresses.
    const hub = new HubConnectionBuilder()
      .withUrl(this.#hubUrl(), { accessTokenFactory: () => this.#session.accessToken() })
      .withAutomaticReconnect(RECONNECT_DELAYS_MS)
      .configureLogging(LogLevel.Error)
      .build();
    this.#hub = hub;
    this.#listen(hub);
    try {
      await hub.start();
    } catch (error) {
      throw withFault(error, /401/.test(error.message) ? faults.hubFault({ code: "AUTH_FAILED" }) : faults.HUB_UNREACHABLE);
    }
  }

  /** The resume token also works while the server takes the lost connection for alive. */
  #hubUrl() {
    return `/hubs/webrtc?sessionToken=${encodeURIComponent(this.#resumeToken ?? this.#sessionToken)}`;
  }

  #listen(hub) {
    const on = (name, act) => hub.on(name, (...values) => hub === this.#hub && act(...values));
    on("SdpAnswerReceived", (answer) => this.#acceptAnswer(answer));
    on("IceCandidateReceived", (candidate) => this.#addCandidate(candidate));
    on("SessionStarted", (started) => {
      this.#startedAt ??= performance.now();
      this.#tell("started", started);
      hub.invoke("RequestReconnectionAsync").then(
        (answer) => (this.#resumeToken = answer?.resumeToken ?? this.#resumeToken),
        () => {},
      );
      if (started.resumed) this.#restore();
    });
    on("AgentStateChanged", ({ state }) => this.#tell("agent", state));
    on("Transcription", (transcription) => this.#tell("transcription", transcription));
    on("TurnCompleted", (turn) => this.#tell("turn", turn));
    on("AudioCleared", () => this.#tell("cleared"));
    on("Error", (error) => {
      if (error.recoverable) this.#tell("fault", faults.hubFault(error));
      else this.#fail(faults.hubFault(error));
    });
    on("SessionEnded", (ended) => this.#end(ended));
    hub.onreconnecting(() => {
      if (hub !== this.#hub) return;
      hub.baseUrl = new URL(this.#hubUrl(), location.href).href;
      this.#tell("state", "reconnecting");
    });
    hub.onclose(() => hub === this.#hub && this.#fail(faults.CONNECTION_LOST));
  }

  /** The server hangs: it says nothing, and its connections stay open. Connect anew, to whichever server answers. */
  async #replaceHub() {
    const silent = this.#hub;
    this.#hub = null;
    silent.stop().catch(() => {});
    this.#tell("state", "reconnecting");
    for (const delay of RECONNECT_DELAYS_MS) {
      await wait(delay);
      if (this.#isOver) return;
      try {
        return await this.#openHub();
      } catch {
        this.#hub = null;
      }
    }
    this.#fail(faults.CONNECTION_LOST);
  }

  // The audio connection

  async #offer({ restart = false } = {}) {
    if (this.#isOver) return;
    if (!restart) this.#openPeer();
    const peer = this.#peer;
    const offer = await peer.createOffer({ iceRestart: restart });
    await peer.setLocalDescription(offer);
    await this.#hub.invoke("SendOfferAsync", { sdp: offer.sdp, type: offer.type });
  }

  #openPeer() {
    this.#peer?.close();
    this.#pendingCandidates = [];
    const peer = new RTCPeerConnection({ iceServers: this.#iceServers });
    this.#peer = peer;
    for (const track of this.#microphone.getAudioTracks()) peer.addTrack(track, this.#microphone);
    peer.addEventListener("track", (event) => this.#tell("audio", event.streams[0] ?? new MediaStream([event.track])));
    peer.addEventListener("icecandidate", ({ candidate }) => {
      if (!candidate || this.#hub?.state !== "Connected") return;
      this.#hub
        .invoke("SendIceCandidateAsync", {
          candidate: candidate.candidate,
          sdpMid: candidate.sdpMid,
          sdpMLineIndex: candidate.sdpMLineIndex,
        })
        .catch(() => {});
    });
    peer.addEventListener("connectionstatechange", () => {
      if (peer === this.#peer) this.#follow(peer.connectionState);
    });
  }

  /** After a loss: is the agent still heard over the old connection? Otherwise its server is gone, and another one wants an offer. */
  async #restore() {
    if (this.#isRestoring) return;
    this.#isRestoring = true;
    try {
      if (await this.#isHeard()) this.#tell("state", "connected");
      else await this.#offer();
    } catch {
      // The hub was lost again: the next return looks after the audio.
    } finally {
      this.#isRestoring = false;
    }
  }

  async #isHeard() {
    await wait(IN_FLIGHT_MS);
    if (this.#peer?.connectionState !== "connected") return false;
    const before = await this.#packetsHeard();
    for (let waited = 0; waited < STILL_HEARD_MS; waited += 100) {
      await wait(100);
      if ((await this.#packetsHeard()) > before) return true;
    }
    return false;
  }

  async #packetsHeard() {
    let packets = 0;
    for (const report of (await this.#peer?.getStats())?.values() ?? []) {
      if (report.type === "inbound-rtp") packets += report.packetsReceived ?? 0;
    }
    return packets;
  }

  #watchAudio() {
    let packets = 0;
    let changedAt = performance.now();
    let checkedAt = changedAt;
    clearInterval(this.#watchTimer);
    this.#watchTimer = setInterval(async () => {
      const heard = await this.#packetsHeard();
      const now = performance.now();
      // A page that slept has heard nothing in its sleep, which says nothing about the server.
      if (heard !== packets || now - checkedAt > 4 * WATCH_MS || this.#peer?.connectionState !== "connected") changedAt = now;
      checkedAt = now;
      packets = heard;
      if (now - changedAt < SILENT_MS || this.#isRestoring || this.#hub?.state !== "Connected") return;
      changedAt = now;
      this.#replaceHub();
    }, WATCH_MS);
  }

  async #acceptAnswer(answer) {
    const peer = this.#peer;
    if (!peer || peer.signalingState !== "have-local-offer") return;
    try {
      await peer.setRemoteDescription(answer);
      for (const candidate of this.#pendingCandidates.splice(0)) await peer.addIceCandidate(candidate);
    } catch (error) {
      this.#fail({ title: "The call couldn’t be set up", detail: error.message });
    }
  }

  async #addCandidate(candidate) {
    if (!this.#peer?.remoteDescription) {
      this.#pendingCandidates.push(candidate);
      return;
    }
    await this.#peer.addIceCandidate(candidate).catch(() => {});
  }

  #follow(connectionState) {
    clearTimeout(this.#iceTimer);
    switch (connectionState) {
      case "connected":
        clearTimeout(this.#connectTimer);
        this.#iceRestarts = 0;
        this.#watchAudio();
        this.#tell("state", "connected");
        break;
      case "disconnected":
        this.#tell("state", "reconnecting");
        this.#iceTimer = setTimeout(() => this.#restartIce(), DISCONNECTED_GRACE_MS);
        break;
      case "failed":
        this.#restartIce();
        break;
    }
  }

  #restartIce() {
    if (this.#isOver) return;
    if (this.#iceRestarts >= MAX_ICE_RESTARTS) {
      this.#fail(faults.MEDIA_FAILED);
      return;
    }
    this.#iceRestarts += 1;
    this.#tell("state", "reconnecting");
    // While the hub itself is away, its resumed session makes a new offer.
    // What a restart cannot mend, because another server has the call by now, a new connection may.
    if (this.#hub?.state === "Connected") this.#offer({ restart: this.#iceRestarts === 1 }).catch(() => {});
  }

  // Ending

  #fail(fault) {
    if (this.#isOver) return;
    this.#tell("fault", fault);
    this.#end({ reason: "error" });
  }

  #end({ reason, durationSeconds, conversationId }) {
    if (this.#isOver) return;
    this.#isOver = true;
    const measured = this.#startedAt === null ? null : Math.round((performance.now() - this.#startedAt) / 1000);
    this.#release();
    this.#tell("state", "ended");
    this.#tell("ended", { reason, conversationId, durationSeconds: durationSeconds ?? measured });
  }

  #release() {
    clearTimeout(this.#iceTimer);
    clearTimeout(this.#connectTimer);
    clearInterval(this.#watchTimer);
    this.#peer?.close();
    this.#hub?.stop().catch(() => {});
    for (const track of this.#microphone?.getTracks() ?? []) track.stop();
  }

  #withTimeout(promise, milliseconds) {
    return Promise.race([
      Promise.resolve(promise).catch(() => {}),
      new Promise((resolve) => setTimeout(resolve, milliseconds)),
    ]);
  }

  #tell(name, detail) {
    if (this.#isOver && name !== "state" && name !== "ended") return;
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function withFault(error, fault) {
  error.fault = fault;
  return error;
}
