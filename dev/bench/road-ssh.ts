// The road that the product replaces: nginx on the public side, an sshd next to it, and from the engines' side one
// `ssh -R` an engine, as one autossh unit an engine would hold it. Keys and state live in `directory` alone.
import { rmdirSync } from "node:fs";
import { chmod, mkdir, stat, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { type Crew, run } from "../crew.ts";
import { answers, freePorts } from "./ports.ts";
import { find } from "./programs.ts";
import { type EnginePorts, plainRoad, type Road } from "./road.ts";

const READY_MS = 10_000;
/** sshd refuses to start as root without it; a machine that has never run sshd does not have it. */
const PRIVILEGE_DIRECTORY = "/run/sshd";

export interface SshPrograms {
  readonly nginx: string;
  readonly sshd: string;
  readonly ssh: string;
  readonly keygen: string;
}

/** What is missing on this machine, by name. */
export async function findSshPrograms(): Promise<SshPrograms | { readonly missing: string[] }> {
  const [nginx, sshd, ssh, keygen] = await Promise.all(["nginx", "sshd", "ssh", "ssh-keygen"].map(find));
  if (nginx && sshd && ssh && keygen) return { nginx, sshd, ssh, keygen };
  const found = { nginx, sshd, ssh, "ssh-keygen": keygen };
  return { missing: Object.entries(found).flatMap(([name, path]) => (path ? [] : [name])) };
}

/** Removed again when this process ends, if it was made here. */
export async function providePrivilegeDirectory(): Promise<void> {
  if (process.getuid?.() !== 0) return;
  if ((await stat(PRIVILEGE_DIRECTORY).catch(() => null)) !== null) return;
  await mkdir(PRIVILEGE_DIRECTORY, { mode: 0o755 });
  process.on("exit", () => {
    try {
      rmdirSync(PRIVILEGE_DIRECTORY);
    } catch {
      // Another sshd has put something there.
    }
  });
}

export async function startSshRoad(
  crew: Crew,
  programs: SshPrograms,
  engines: EnginePorts,
  directory: string,
  signal: AbortSignal,
): Promise<Road> {
  await mkdir(directory, { mode: 0o700 });
  const [sshdPort, chat, embed, front] = await freePorts(4);
  if (!sshdPort || !chat || !embed || !front) throw new Error("no free ports");

  for (const name of ["host", "user"]) {
    const file = join(directory, name);
    const args = ["-q", "-t", "ed25519", "-N", "", "-f", file];
    await run({ name: "ssh-keygen", command: programs.keygen, args }, { signal });
    await chmod(file, 0o600);
  }
  const sshdFile = join(directory, "sshd.conf");
  await writeFile(sshdFile, sshdConfig(sshdPort, directory));
  crew.start({ name: "sshd", command: programs.sshd, args: ["-f", sshdFile, "-D", "-e"] });

  const forwards = [
    [chat, engines.chat],
    [embed, engines.embed],
  ] as const;
  for (const [outer, inner] of forwards) {
    const args = [...sshOptions(directory, sshdPort), "-R", `127.0.0.1:${outer}:127.0.0.1:${inner}`, "127.0.0.1"];
    await dial(crew, programs.ssh, args, outer, signal);
  }

  const nginxFile = join(directory, "nginx.conf");
  await writeFile(nginxFile, nginxConfig(front, chat, embed, directory));
  crew.start({
    name: "nginx",
    command: programs.nginx,
    args: ["-e", "stderr", "-p", directory, "-c", nginxFile, "-g", "daemon off;"],
  });
  await answers(front, "/health", READY_MS, signal);
  return plainRoad("nginx+ssh", { chat: front, embed: front });
}

async function dial(crew: Crew, ssh: string, args: string[], port: number, signal: AbortSignal): Promise<void> {
  const { SSH_AUTH_SOCK: _, ...env } = process.env;
  crew.start({ name: "ssh -R", command: ssh, args, env });
  await answers(port, "/health", READY_MS, AbortSignal.any([signal, crew.lost]));
}

export function sshOptions(directory: string, port: number): string[] {
  const options = [
    "BatchMode=yes",
    "ConnectionAttempts=10",
    "ExitOnForwardFailure=yes",
    "IdentitiesOnly=yes",
    "LogLevel=ERROR",
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
    `User=${userInfo().username}`,
  ];
  const file = ["-F", "/dev/null", "-i", join(directory, "user"), "-p", String(port), "-N"];
  return [...file, ...options.flatMap((option) => ["-o", option])];
}

/** With PAM, as Debian has it: without it sshd refuses even the key of an account that has no password. */
export function sshdConfig(port: number, directory: string): string {
  return `ListenAddress 127.0.0.1
Port ${port}
HostKey ${join(directory, "host")}
AuthorizedKeysFile ${join(directory, "user.pub")}
PidFile none
StrictModes no
UsePAM yes
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowTcpForwarding remote
X11Forwarding no
LogLevel ERROR
`;
}

function nginxConfig(port: number, chat: number, embed: number, directory: string): string {
  const user = process.getuid?.() === 0 ? `user ${userInfo().username};\n` : "";
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((kind) => `  ${kind}_temp_path ${join(directory, kind)};`)
    .join("\n");
  return `${user}worker_processes auto;
pid ${join(directory, "nginx.pid")};
error_log stderr error;
events { worker_connections 4096; }
http {
${temporary}
  access_log /dev/null;
  tcp_nodelay on;
  keepalive_requests 1000000;
  client_max_body_size 16m;
  client_body_buffer_size 1m;
  upstream chat { server 127.0.0.1:${chat}; keepalive 256; keepalive_requests 1000000; }
  upstream embed { server 127.0.0.1:${embed}; keepalive 256; keepalive_requests 1000000; }
  server {
    listen 127.0.0.1:${port};
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_buffering off;
    proxy_read_timeout 600s;
    location / { proxy_pass http://chat; }
    location /v1/embeddings { proxy_pass http://embed; }
  }
}
`;
}
