// Who may do what. Knows keys, accounts and the backend's verdicts; knows no socket: asking is a function it is given.
import { Failure, type PublicFailure } from "../../shared/errors.ts";
import type { HeaderPairs } from "../../shared/headers.ts";
import type { Account, Credentials, ExchangeRequest } from "../../shared/hop.ts";
import { VERIFY_KEY } from "../../shared/openai.ts";
import { Accounts, permit } from "./accounts.ts";
import { readVerdict } from "./verify.ts";

type Answer = { readonly status: number; readonly body: Uint8Array } | { readonly failure: PublicFailure };

export interface GateOptions {
  /** Asks the backend over the uplink. */
  readonly ask: (question: {
    id: string;
    method: string;
    path: string;
    body: Uint8Array;
    timeoutMs: number;
  }) => Promise<Answer>;
  readonly timeoutMs: number;
  readonly now: () => number;
  readonly newId: () => string;
}

type Admission =
  | { readonly tier: string; readonly tenant: string; readonly maxTokens: undefined; readonly headers: HeaderPairs }
  | { readonly failure: PublicFailure };

/** Who a developer is who holds the master key. */
const MASTER: Account = { keyId: "master", userId: "master", tier: "admin", ageVerified: true, expiresAt: null };

export class Gate {
  readonly #options: GateOptions;
  readonly #accounts: Accounts;

  constructor(options: GateOptions) {
    this.#options = options;
    this.#accounts = new Accounts((key) => this.#lookup(key), options.now);
  }

  /** Lets a request in or says why not. A denial is a value. Answers at once where the account is known. */
  admit(request: ExchangeRequest): Admission | Promise<Admission> {
    const account = this.#peek(request.credentials);
    if (account !== undefined) return this.#decide(account, request);
    return this.account(request.credentials).then(
      (found) => this.#decide(found, request),
      (error: unknown) => denied(error),
    );
  }

  /** @throws Failure where the backend does not say. */
  async account(credentials: Credentials): Promise<Account | null> {
    const known = this.#peek(credentials);
    if (known !== undefined) return known;
    if (credentials.mode === "master-key") return MASTER;
    return this.#accounts.find(credentials.digest, credentials.key);
  }

  #peek(credentials: Credentials): Account | null | undefined {
    return credentials.mode === "master-key" ? MASTER : this.#accounts.peek(credentials.digest);
  }

  #decide(account: Account | null, { credentials, ageRestricted }: ExchangeRequest): Admission {
    try {
      const { tier } = permit(account, ageRestricted, this.#options.now());
      const tenant = credentials.mode === "master-key" ? "master" : credentials.digest.slice(0, 16);
      return { tier, tenant, maxTokens: undefined, headers: [] };
    } catch (error) {
      return denied(error);
    }
  }

  async #lookup(key: string): Promise<Account | null> {
    const body = new TextEncoder().encode(JSON.stringify({ api_key: key }));
    const { ask, timeoutMs, newId } = this.#options;
    const answer = await ask({ id: newId(), ...VERIFY_KEY, body, timeoutMs });
    if ("failure" in answer) {
      const late = answer.failure.code === "auth_timeout" || answer.failure.code === "upstream_timeout";
      throw new Failure(late ? "auth_timeout" : "auth_unavailable", { detail: answer.failure.code });
    }
    const account = readVerdict(answer.status, answer.body);
    if (account === undefined) throw new Failure("auth_unavailable", { detail: `backend answered ${answer.status}` });
    return account;
  }
}

function denied(error: unknown): { failure: PublicFailure } {
  if (error instanceof Failure) return { failure: error.public };
  throw error;
}
