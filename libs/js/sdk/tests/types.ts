// Compiled, never run: what a program may write, and what the compiler must refuse.

import { NotFoundError, PagedList, VoisnapClient } from "@voisnap/sdk";
import type {
  Agent,
  AgentStats,
  Conversation,
  ConversationTranscript,
  CreateAgentRequest,
  PaginatedResponse,
  UpdateAgentRequest,
} from "@voisnap/sdk";

export async function program(client: VoisnapClient, recording: Int16Array): Promise<void> {
  const request: CreateAgentRequest = {
    name: "Aria",
    persona: { name: "Aria" },
    voice: { provider: "elevenlabs", voiceId: "v" },
    llm: { provider: "openai", model: "gpt-4o" },
    transcription: { provider: "deepgram" },
    systemPromptTemplate: "You are Aria",
  };
  const agent: Agent = await client.agents.create(request);
  const change: UpdateAgentRequest = { llm: { temperature: 0.5 }, description: null, tags: ["a"], variables: { name: null } };
  const { etag, version } = await client.agents.update(agent.id, change, { ifMatch: undefined });
  const again: [string | undefined, number] = [etag, version];
  const list: PagedList<Agent> = client.agents.list({ status: "active", tags: ["a"], pageSize: undefined });
  const page: PaginatedResponse<Agent> = await list.page(2);
  const stats: AgentStats = await client.agents.stats(agent.id, { dateFrom: new Date() });
  const conversations: Conversation[] = await client.conversations.list().toArray({ limit: 3 });
  const transcript: ConversationTranscript = await client.conversations.transcript(conversations[0]!.id);
  const nothing: void = await client.agents.delete(agent.id, { ifMatch: etag, signal: new AbortController().signal });

  const chat = await client.realtime.chat({ agentId: agent.id });
  const whole: string = await chat.send("Hello");
  for await (const event of chat) if (event.type === "MessageReceived") whole.concat(event.content);
  const call = await client.realtime.voice({ agentId: agent.id, accessTokenFactory: () => "token" });
  const off: () => void = call.on("AudioReceived", ({ pcm }) => recording.set(pcm));
  call.on("Transcription", (said) => said.text.length);
  void [again, page, stats, transcript, nothing, off];

  // @ts-expect-error - not one of the statuses
  client.agents.list({ status: "asleep" });
  // @ts-expect-error - the prompt is missing
  client.agents.create({ ...request, systemPromptTemplate: undefined });
  // @ts-expect-error - no such field
  client.agents.update(agent.id, { maxDuration: 3 });
  // @ts-expect-error - an id is wanted
  client.agents.get();
  // @ts-expect-error - no such event
  chat.on("AudioReceived", () => undefined);
  // @ts-expect-error - reading has no precondition
  client.agents.get(agent.id, { ifMatch: etag });
}

export function told(error: unknown): string | undefined {
  return error instanceof NotFoundError ? error.traceId : undefined;
}
