// The systemd units: `service` prints and installs them. The connector's, and what the edge's (units-edge.ts) shares with it. No I/O.
//
// What they may not do was chosen by `systemd-analyze security` (a test holds it at 1.2 or less). Left out on purpose:
// MemoryDenyWriteExecute, as V8 compiles at run time and dies under it; IPAddressDeny, as the edge's address is not known.

export interface Unit {
  readonly name: string;
  readonly text: string;
}

/** How a program is started: absolute paths, without white space. */
export interface Command {
  /** Node. */
  readonly node: string;
  /** A script that it runs. */
  readonly script: string;
  /** Null where it is not installed: then systemd hears from children, and must listen to them. */
  readonly perl: string | null;
}

export interface ConnectorUnitOptions extends Command {
  readonly config: string;
  /** The private key; systemd hands it to the service as a credential. */
  readonly key: string;
  /** s; as in the configuration. */
  readonly drainS: number;
}

/** By this line `service` knows what it has written. */
export const MARK = "# Written by `connector service`.";

/** Somewhat more than it takes the uplink to find out and to come back (wire/spec.md §8), with a redial or two. */
const WATCHDOG_S = 120;

/** Connects the socket of sd_notify, for a program that has no such sockets (systemd.ts), and becomes that program. */
export const LAUNCHER = [
  "$^F = 9",
  "($a = $ENV{NOTIFY_SOCKET}) =~ s/^@/chr 0/e",
  "socket(S, PF_UNIX, SOCK_DGRAM, 0) && connect(S, sockaddr_un($a)) && fcntl(S, F_SETFL, O_NONBLOCK)",
  "$ENV{HEARTCODE_NOTIFY_FD} = fileno S",
  "exec @ARGV",
].join("; ");

/** As systemd.service(5) wants it: `$` and `%` are its own. */
export function start({ perl, node, script }: Command, args: string): string {
  // node looks for options of its own behind the script too, and would read the file of `--env-file` before us and otherwise.
  const program = `${node} -- ${script} ${args}`;
  if (perl === null) return `NotifyAccess=all\nExecStart=${program}`;
  const words = LAUNCHER.replaceAll("$", "$$$$").replaceAll("%", "%%");
  return `NotifyAccess=main\nExecStart=${perl} -MSocket -MFcntl -e '${words}' -- ${program}`;
}

/** @param families of sockets that it may open. */
export const hardening = (families: string) => `
# Nothing but its own processes and what is named above.
DynamicUser=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
PrivateDevices=yes
PrivateTmp=yes
PrivateUsers=yes
PrivateMounts=yes
DevicePolicy=closed
ProtectSystem=strict
ProtectHome=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectProc=invisible
ProcSubset=pid
RestrictAddressFamilies=${families}
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
LockPersonality=yes
KeyringMode=private
SystemCallArchitectures=native
# V8 guards its code with memory protection keys where the processor has them.
SystemCallFilter=@system-service @pkey
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
UMask=0077
# A dump would hold keys and prompts.
LimitCORE=0
LimitNOFILE=65536`;

export function connectorUnit(options: ConnectorUnitOptions): Unit {
  const { config, key, drainS } = options;
  return {
    name: "heartcode-connector.service",
    text: `${MARK} To change it: systemctl edit heartcode-connector
[Unit]
Description=HeartCode connector: engines of this site, at the edge
Wants=network-online.target
After=network-online.target
# It tries for ever: nobody may be here to start it.
StartLimitIntervalSec=0

[Service]
# READY comes when a request can be served.
Type=notify
${start(options, `run --config ${config}`)}
ExecReload=/bin/kill -HUP $MAINPID
# NAME=value lines for the variables of the configuration.
EnvironmentFile=-/etc/heartcode/connector.env
# In the configuration: key_file: "\${CREDENTIALS_DIRECTORY:-/etc/heartcode}/connector.key"
LoadCredential=connector.key:${key}

# Fed only while the edge is heard and the event loop turns.
WatchdogSec=${WATCHDOG_S}
# Without an edge it does not become ready; then it starts anew, and the status says why.
TimeoutStartSec=120
# Running answers may finish (drain_s), and some seconds to leave.
TimeoutStopSec=${drainS + 15}
KillMode=mixed
Restart=always
RestartSec=5
# Wrong configuration, or another process has its place: nothing changes by itself. An edge that refuses it (3) may be mended.
RestartPreventExitStatus=2 4
${hardening("AF_INET AF_INET6 AF_UNIX")}

[Install]
WantedBy=multi-user.target
`,
  };
}

/** Why a unit cannot start from there, or null. */
export function hiddenFromUnit(path: string): string | null {
  if (/\s/.test(path)) return `${path} has white space in it`;
  const tree = /^\/(home|root|tmp|var\/tmp|run\/user)\//.exec(path)?.[1];
  return tree === undefined ? null : `${path} is under /${tree}, which the unit cannot see: put it under /opt or /etc`;
}
