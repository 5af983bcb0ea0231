// When what the gate has decided is written down. A commit costs a sync of the disk however little it holds (workerd 1.20261023:
// 0.2 ms, in which the hub does nothing else), and on a platform that bills rows it is a row. So:
// - Among many, those who are let in at about the same time share one.
// - Among few, each has its own, before anything of it leaves: a turn of the timer is a millisecond, and is longer.
// - Alone, an exchange is opened first and written down while its engine works; the output gate holds its answer until it is
//   on disk. If hub and Worker die within that moment, an engine has run for nobody: no byte of it has reached a client, and
//   nobody pays. If only the hub dies, the Worker asks again by the same id, and it is counted once.
// Knows no storage: to commit is a function.

/** From so many on, one is waited for. */
const MANY = 8;

export class GroupCommit {
  readonly #commit: () => void;
  #next: Promise<void> | null = null;

  constructor(commit: () => void) {
    this.#commit = commit;
  }

  /** To be awaited between a decision and the first word about it. @param others exchanges that run. */
  async before(others: number): Promise<void> {
    if (others >= MANY) await this.#shared();
    else if (others > 0) this.#commit();
  }

  /** The first word has left. */
  after(others: number): void {
    if (others === 0) this.#commit();
  }

  #shared(): Promise<void> {
    this.#next ??= new Promise((done) => {
      // Behind all requests that are already here.
      setTimeout(() => {
        this.#next = null;
        this.#commit();
        done();
      }, 0);
    });
    return this.#next;
  }
}
