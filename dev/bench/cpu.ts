// What processes have spent of the processors, where the system tells it (Linux).
import { readdirSync, readFileSync } from "node:fs";

/** Of all threads of a process that are there. Null elsewhere than on Linux, and for a process that has ended. */
export function cpuNs(pid: number): number | null {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    const spent = threads.map((thread) =>
      Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]),
    );
    return spent.reduce((sum, ns) => sum + ns, 0);
  } catch {
    return null;
  }
}

/** Of all processes of a group. */
export function cpuNsOfGroup(group: number): number | null {
  let spent: number | null = null;
  for (const name of entries()) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || groupOf(pid) !== group) continue;
    const ns = cpuNs(pid);
    if (ns !== null) spent = (spent ?? 0) + ns;
  }
  return spent;
}

function entries(): string[] {
  try {
    return readdirSync("/proc");
  } catch {
    return [];
  }
}

function groupOf(pid: number): number | null {
  try {
    // Behind the name, which may hold anything: state, parent, group (proc(5)).
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[2]);
  } catch {
    return null;
  }
}
