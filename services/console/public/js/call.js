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
      await this.#openHub(await this.#openSession());
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

  async #openHub(opened) {
    this.#iceServers = opened.iceServers;
    // https, not wss: the client negotiates with fetch, which knows no wss addresses.
    this.#hub = new HubConnectionBuilder()
      .withUrl(`/hubs/webrtc?sessionToken=${encodeURIComponent(opened.sessionToken)}`, {
        accessTokenFactory: () => this.#session.accessToken(),
      })
      .withAutomaticReconnect(RECONNECT_DELAYS_MS)
      .configureLogging(LogLevel.Error)
      .build();
    this.#listen(this.#hub);
    try {
      await this.#hub.start();
    } catch (error) {
      throw withFault(error, /401/.test(error.message) ? faults.hubFault({ code: "AUTH_FAILED" }) : faults.HUB_UNREACHABLE);
    }
  }

  #listen(hub) {
    hub.on("SdpAnswerReceived", (answer) => this.#acceptAnswer(answer));
    hub.on("IceCandidateReceived", (candidate) => this.#addCandidate(candidate));
    hub.on("SessionStarted", (started) => {
      this.#startedAt ??= performance.now();
      this.#tell("started", started);
      if (started.resumed && this.#peer?.connectionState !== "connected") this.#offer().catch(() => {});
    });
    hub.on("AgentStateChanged", ({ state }) => this.#tell("agent", state));
    hub.on("Transcription", (transcription) => this.#tell("transcription", transcription));
    hub.on("TurnCompleted", (turn) => this.#tell("turn", turn));
    hub.on("AudioCleared", () => this.#tell("cleared"));
    hub.on("Error", (error) => {
      if (error.recoverable) this.#tell("fault", faults.hubFault(error));
      else this.#fail(faults.hubFault(error));
    });
    hub.on("SessionEnded", (ended) => this.#end(ended));
    hub.onreconnecting(() => this.#tell("state", "reconnecting"));
    hub.onreconnected(() => this.#tell("state", this.#peer?.connectionState === "connected" ? "connected" : "connecting"));
    hub.onclose(() => this.#fail(faults.CONNECTION_LOST));
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
    if (this.#hub?.state === "Connected") this.#offer({ restart: true }).catch(() => {});
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

function withFault(error, fault) {
  error.fault = fault;
  return error;
}
