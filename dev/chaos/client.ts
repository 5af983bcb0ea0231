// One request over a socket of its own kind, and what became of it: the answer's text, or how it ended without.
import { Agent, type IncomingMessage, request } from "node:http";
import type { Question } from "./question.ts";

/** An answer that takes longer is lost: more than the longest silence that any fault may cause. */
const HUNG_MS = 75_000;

export interface Outcome {
  readonly question: Question;
  readonly startedAt: number;
  readonly endedAt: number;
  /** - `whole`: as it should be. - `left`: the client went. - `refused`: an error with a status. - `broken`: it had begun.
   *  - `lost`: no answer at all. - `wrong`: not what the engine said. - `hung` */
  readonly kind: "whole" | "left" | "refused" | "broken" | "lost" | "wrong" | "hung";
  readonly detail: string;
  readonly id: string | null;
  /** Of a stream, pieces of text that came: a token each. */
  readonly pieces: number;
}

type End = (kind: Outcome["kind"], detail?: string, pieces?: number) => void;

export class Client {
  readonly #port: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });

  constructor(port: number) {
    this.#port = port;
  }

  close(): void {
    this.#agent.destroy();
  }

  ask(question: Question): Promise<Outcome> {
    const startedAt = performance.now();
    return new Promise((resolve) => {
      let id: string | null = null;
      let isOver = false;
      const end: End = (kind, detail = "", pieces = 0) => {
        if (isOver) return;
        isOver = true;
        clearTimeout(timer);
        resolve({ question, startedAt, endedAt: performance.now(), kind, detail, id, pieces });
      };
      const outgoing = request(
        {
          port: this.#port,
          host: "127.0.0.1",
          method: "POST",
          path: question.path,
          agent: this.#agent,
          headers: {
            authorization: `Bearer ${question.key}`,
            "content-type": "application/json",
            "content-length": Buffer.byteLength(question.body),
          },
        },
        (response) => {
          id = (response.headers["x-request-id"] as string | undefined) ?? null;
          receive(question, response, end);
        },
      );
      // A client that goes is noticed at once only by a reset.
      const timer = setTimeout(() => {
        end("hung", `after ${HUNG_MS / 1_000} s`);
        outgoing.destroy();
      }, HUNG_MS);
      outgoing.on("error", (error: NodeJS.ErrnoException) => end("lost", error.code ?? error.message));
      if (question.leaveAfterBytes === 0) {
        outgoing.on("socket", (socket) =>
          socket.once("connect", () => {
            end("left");
            socket.resetAndDestroy();
          }),
        );
      }
      outgoing.end(question.body);
    });
  }
}

function receive(question: Question, response: IncomingMessage, end: End): void {
  let body = "";
  const piecesOf = (): number => (question.stream ? streamed(body).pieces : 0);
  response.setEncoding("utf8");
  response.on("data", (piece: string) => {
    body += piece;
    if (question.leaveAfterBytes === null || body.length < question.leaveAfterBytes) return;
    end("left", "", piecesOf());
    response.socket.resetAndDestroy();
  });
  const status = response.statusCode ?? 0;
  response.on("end", () => {
    if (status !== 200) end("refused", `${status} ${codeIn(body)}`);
    else judge(question, body, end);
  });
  response.on("error", (error: NodeJS.ErrnoException) => {
    // What came before the break must still be right.
    if (question.stream && !isBeginning(question, streamed(body).text)) end("wrong", "before it broke");
    else end("broken", error.code ?? error.message, piecesOf());
  });
}

function judge(question: Question, body: string, end: End): void {
  try {
    if (question.stream) {
      const { text, pieces, error, isDone } = streamed(body);
      if (error !== null && isBeginning(question, text)) end("broken", error, pieces);
      else if (text !== question.text) end("wrong", `${text.length} of ${question.text.length} characters`);
      else if (!isDone) end("wrong", "no [DONE]");
      else end("whole");
    } else if (plain(question, body) === question.text) end("whole");
    else end("wrong", body.slice(0, 200));
  } catch (error) {
    end("wrong", String(error));
  }
}

function isBeginning(question: Question, text: string): boolean {
  return question.text.startsWith(text);
}

interface Chunk {
  readonly error?: { readonly code: string };
  readonly choices?: readonly { readonly text?: string; readonly delta?: { readonly content?: string | null } }[];
}

/** What is whole of an event stream. */
function streamed(body: string): { text: string; pieces: number; error: string | null; isDone: boolean } {
  let text = "";
  let pieces = 0;
  let error: string | null = null;
  let isDone = false;
  for (const event of body.split("\n\n")) {
    if (event === "data: [DONE]") isDone = true;
    else if (event.startsWith("data: ") && event.endsWith("}")) {
      const chunk = JSON.parse(event.slice(6)) as Chunk;
      error ??= chunk.error?.code ?? null;
      const choice = chunk.choices?.[0];
      const piece = choice?.text ?? choice?.delta?.content ?? "";
      text += piece;
      if (piece !== "") pieces += 1;
    }
  }
  return { text, pieces, error, isDone };
}

interface Answer {
  readonly choices?: readonly { readonly text?: string; readonly message?: { readonly content: string } }[];
  readonly data?: readonly { readonly embedding: readonly number[] }[];
}

function plain({ path }: Question, body: string): string {
  const answer = JSON.parse(body) as Answer;
  if (path === "/v1/embeddings")
    return (answer.data ?? []).map(({ embedding }) => JSON.stringify(embedding)).join("\n");
  return (answer.choices ?? []).map((choice) => choice.text ?? choice.message?.content ?? "").join("");
}

function codeIn(body: string): string {
  try {
    return (JSON.parse(body) as { error: { code: string } }).error.code;
  } catch {
    return body.slice(0, 100);
  }
}
