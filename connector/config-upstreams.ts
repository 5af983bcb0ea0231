// `http://192.168.0.145:8080-8083` is four upstreams. No I/O.

const ADDRESS = /^(https?):\/\/(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5})(?:-(\d{1,5}))?)?\/?$/i;
const MOST_PORTS = 256;

/** Origins in order; null if it is not an address or a range. */
export function expandUpstreams(text: string): string[] | null {
  const [, scheme, host, from, to] = ADDRESS.exec(text) ?? [];
  if (scheme === undefined || host === undefined) return null;
  const base = `${scheme}://${host}`.toLowerCase();
  if (from === undefined) return originOf(base);
  const first = Number(from);
  const last = to === undefined ? first : Number(to);
  if (first < 1 || last > 65_535 || last < first || last - first >= MOST_PORTS) return null;
  const origins: string[] = [];
  for (let port = first; port <= last; port += 1) {
    const origin = originOf(`${base}:${port}`);
    if (origin === null) return null;
    origins.push(...origin);
  }
  return origins;
}

function originOf(text: string): [string] | null {
  return URL.canParse(text) ? [new URL(text).origin] : null;
}
