// Headers that the configuration adds to requests.

/** `Bearer ` with a variable that is not set is no header at all. */
export function withoutEmptyCredentials(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([, value]) => !/^\s*((Bearer|Basic)\s*)?$/i.test(value)));
}
