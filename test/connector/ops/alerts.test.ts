// The alert rules: well formed, about metrics that are there, each with its place in the manual.
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { Metrics } from "../../../connector/ops/metrics.ts";
import { METRICS } from "../../../edge/admin/metrics.ts";
import { picture } from "./picture.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
const FILE = join(ROOT, "config/alerts.yml");
const MANUAL = readFileSync(join(ROOT, "docs/metrics.md"), "utf8");

const Rule = z.strictObject({
  alert: z.string().regex(/^[A-Z][A-Za-z]+$/),
  expr: z.string().min(1),
  for: z.string().regex(/^\d+[smh]$/),
  labels: z.strictObject({ severity: z.enum(["page", "ticket"]) }),
  annotations: z.strictObject({ summary: z.string().min(10), action: z.string().min(10) }),
});
const Rules = z.strictObject({ groups: z.array(z.strictObject({ name: z.string(), rules: z.array(Rule) })).min(1) });

const Scraping = z.looseObject({ scrape_configs: z.array(z.looseObject({ job_name: z.string() })) });
const promtool = spawnSync("promtool", ["check", "rules", FILE], { encoding: "utf8" });
const isThere = promtool.error === undefined;

/** Names as Prometheus stores them, and the names in the exposition. */
const text = await new Metrics("test", () => 0).text(picture());
const described = [...text.matchAll(/^# TYPE (heartcode_connector_\w+) (\w+)$/gm)].map(([, name, type]) => ({
  name: name!,
  type: type!,
}));
const stored = new Set(
  described.flatMap(({ name, type }) =>
    type === "histogram" ? ["bucket", "sum", "count"].map((part) => `${name}_${part}`) : [name],
  ),
);
const rules = Rules.parse(parse(readFileSync(FILE, "utf8"))).groups.flatMap((group) => group.rules);
const ours = rules.filter(({ expr }) => /heartcode_connector_|heartcode-connector/.test(expr));
const edges = rules.filter((rule) => !ours.includes(rule));

describe("alert rules", () => {
  test("are ten for the connector, each with a name of its own", () => {
    expect(new Set(ours.map(({ alert }) => alert)).size).toBe(10);
  });

  test.each(ours.map(({ alert, expr }) => [alert, expr]))("%s asks for metrics that are there", (_alert, expr) => {
    const names = expr!.match(/heartcode_connector_\w+/g) ?? [];
    expect(names.length + (expr!.includes("up{") ? 1 : 0)).toBeGreaterThan(0);
    expect(names.filter((name) => !stored.has(name))).toEqual([]);
  });

  test("are two for the edge, about metrics that are there", () => {
    expect(edges).toHaveLength(2);
    const names = edges.flatMap(({ expr }) => expr.match(/heartcode_edge_\w+/g) ?? []);
    expect(names).toEqual(["heartcode_edge_writable"]);
    expect(METRICS.map(({ name }) => name)).toEqual(expect.arrayContaining(names));
  });

  test.each(rules.map(({ alert }) => [alert]))("%s is explained in the manual", (alert) => {
    expect(MANUAL).toContain(`\`${alert}\``);
  });

  test.skipIf(!isThere)(`pass promtool's check${isThere ? "" : " (skipped: promtool is not installed)"}`, () => {
    expect([promtool.status, promtool.stderr]).toEqual([0, ""]);
    expect(promtool.stdout).toContain("SUCCESS");
  });
});

describe("the manual", () => {
  const configurations = [...MANUAL.matchAll(/```yaml\n(# prometheus\.yml\n[^`]*)```/g)].map(([, yaml]) => yaml!);

  test("has a scrape job for each job that a rule asks for", () => {
    const told = configurations.flatMap((yaml) =>
      Scraping.parse(parse(yaml)).scrape_configs.map((job) => job.job_name),
    );
    const asked = rules.flatMap(({ expr }) => [...expr.matchAll(/job="([^"]+)"/g)].map(([, job]) => job!));
    expect(told.sort()).toEqual([...new Set(asked)].sort());
  });

  test.skipIf(!isThere)(
    `has them as promtool wants them${isThere ? "" : " (skipped: promtool is not installed)"}`,
    () => {
      const folder = mkdtempSync(join(tmpdir(), "heartcode-"));
      const token = join(folder, "token");
      writeFileSync(token, "an-admin-token");
      copyFileSync(FILE, join(folder, "alerts.yml"));
      for (const yaml of configurations) {
        const file = join(folder, "prometheus.yml");
        writeFileSync(file, yaml.replace("/etc/prometheus/heartcode-admin-token", token));
        const { status, stdout, stderr } = spawnSync("promtool", ["check", "config", file], { encoding: "utf8" });
        expect([status, stderr]).toEqual([0, ""]);
        expect(stdout).toContain("1 rule files found");
      }
      rmSync(folder, { recursive: true });
    },
  );

  test("explains every metric of the connector, and none that is not there", () => {
    expect(described.length).toBeGreaterThan(20);
    const told = new Set([...MANUAL.matchAll(/^\| `(heartcode_connector_\w+)`/gm)].map(([, name]) => name!));
    expect([...told].sort()).toEqual(described.map(({ name }) => name).sort());
  });

  test("explains every metric of the edge, and none that is not there", () => {
    const told = new Set([...MANUAL.matchAll(/^\| `(heartcode_edge_\w+)`/gm)].map(([, name]) => name!));
    expect([...told].sort()).toEqual(METRICS.map(({ name }) => name).sort());
  });

  test("says of each what to do when it moves", () => {
    const rows = [...MANUAL.matchAll(/^\| `(heartcode_\w+)` \|([^|]*)\|([^|]*)\|$/gm)];
    expect(rows).toHaveLength(described.length + METRICS.length);
    expect(rows.filter(([, , what, todo]) => what!.trim().length < 5 || todo!.trim().length < 15)).toEqual([]);
  });
});
