// systemd's end of sd_notify: a datagram socket and what was sent to it. Node core has no unix datagrams, so perl owns the
// socket: perl-base is essential in Debian, and so is there wherever systemd is; an addon would have to be compiled.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createInterface } from "node:readline";

/** Prints each datagram as one line; the descriptor that comes with BARRIER is dropped, which is its answer. */
const SCRIPT = `
use Socket; $| = 1;
socket(my $s, PF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
bind($s, sockaddr_un($ARGV[0])) or die "bind: $!";
print "bound\\n";
while (defined recv($s, my $m, 4096, 0)) { $m =~ s/\\n/\\t/g; print "$m\\n"; }
`;

export const CAN_NOTIFY = ["systemd-notify", "perl"].every(
  (name) => spawnSync(name, ["--version"]).error === undefined,
);

export class NotifySocket {
  readonly path: string;
  /** Assignments in the order of their coming, with the time. */
  readonly heard: { readonly at: number; readonly text: string }[] = [];
  readonly #child: ChildProcess;

  private constructor(path: string, child: ChildProcess) {
    this.path = path;
    this.#child = child;
  }

  /** @param path must not exist; at most 100 characters. */
  static async at(path: string): Promise<NotifySocket> {
    const child = spawn("perl", ["-e", SCRIPT, path], { stdio: ["ignore", "pipe", "inherit"] });
    const socket = new NotifySocket(path, child);
    const lines = createInterface({ input: child.stdout! });
    await new Promise<void>((done, fail) => {
      child.once("error", fail);
      child.once("exit", () => fail(new Error("perl has no socket")));
      lines.once("line", () => done());
    });
    lines.on("line", (line) => {
      for (const text of line.split("\t").filter((part) => part !== "")) socket.heard.push({ at: Date.now(), text });
    });
    return socket;
  }

  /** The values of a variable, oldest first. */
  all(variable: string): string[] {
    return this.heard
      .filter(({ text }) => text.startsWith(`${variable}=`))
      .map(({ text }) => text.slice(variable.length + 1));
  }

  /** When a variable came last, ms; 0 if never. */
  lastAt(variable: string): number {
    return this.heard.findLast(({ text }) => text.startsWith(`${variable}=`))?.at ?? 0;
  }

  close(): void {
    this.#child.kill("SIGKILL");
  }
}
