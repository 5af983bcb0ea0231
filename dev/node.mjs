// Runs one of the project's programs: `node dev/node.mjs PROGRAM [arguments]`. Plain JavaScript, so that a Node that is too
// old says so in one line instead of failing on the first type annotation.
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 19)) {
  console.error(
    `heartcode: Node ${process.versions.node} is too old, 22.19 or newer is needed. \`npm ci\` installs the pinned one for all npm scripts.`,
  );
  process.exit(1);
}
const [program, ...rest] = process.argv.slice(2);
const { pathToFileURL } = await import("node:url");
const { resolve } = await import("node:path");
process.argv = [process.argv[0], resolve(program), ...rest];
await import(pathToFileURL(resolve(program)).href);
