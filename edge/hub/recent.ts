// A map that remembers its newest members only.
export class Recent<Value> {
  readonly #values = new Map<string, Value>();
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  add(id: string, value: Value): void {
    this.#values.set(id, value);
    if (this.#values.size > this.#most) this.#values.delete(this.#values.keys().next().value!);
  }

  get(id: string): Value | undefined {
    return this.#values.get(id);
  }
}
