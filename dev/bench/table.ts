// Sections as text for a terminal. Pure.

import type { Interval } from "./interval.ts";
import { countFailures } from "./measure.ts";
import type { RoadName } from "./road.ts";
import type { Row, Section } from "./section.ts";

interface Column {
  readonly title: string;
  readonly cell: (row: Row) => string;
}

const value = (road: RoadName): Column => ({ title: road, cell: (row) => figure(row.values[road]) });
const ratio = (road: RoadName, to: RoadName): Column => ({
  title: `/${to}`,
  cell: (row) => {
    const above = row.values[road];
    const below = row.values[to];
    return above != null && below ? `${figure(above / below)}x` : "-";
  },
});

const COLUMNS: readonly Column[] = [
  value("direct"),
  value("nginx+ssh"),
  ratio("nginx+ssh", "direct"),
  value("product"),
  ratio("product", "direct"),
  ratio("product", "nginx+ssh"),
  { title: "by rounds, 95 %", cell: ({ interval }) => (interval === undefined ? "" : between(interval)) },
];

function between({ low, high }: Interval): string {
  return `${figure(low)} to ${figure(high)}`;
}

export function render(section: Section): string {
  const lines = [
    ["", ...COLUMNS.map((column) => column.title)],
    ...section.rows.map((row) => [row.label, ...COLUMNS.map((column) => column.cell(row))]),
  ];
  const widths = lines[0]?.map((_, index) => Math.max(...lines.map((line) => line[index]?.length ?? 0))) ?? [];
  const text = lines.map((line) =>
    line
      .map((cell, index) => (index === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[index] ?? 0)))
      .join("  "),
  );
  const [head = "", ...rows] = text;
  const body = rows.flatMap((line, index) => {
    const complaints = section.rows[index] === undefined ? [] : complain(section.rows[index]);
    return complaints.length === 0 ? [line] : [`${line}  FAILURES`, ...complaints];
  });
  return [section.title, head, ...body, ...(section.notes ?? [])].join("\n");
}

function complain(row: Row): string[] {
  return Object.entries(row.failures).flatMap(([road, failures]) => {
    const total = countFailures(failures);
    if (total === 0) return [];
    const reasons = Object.entries(failures).map(([reason, count]) => `${count} × ${reason}`);
    return [`  ! ${road}: ${total} failed: ${reasons.join(", ")}`];
  });
}

/** Three digits that mean something. */
export function figure(number: number | null | undefined): string {
  if (number == null) return "-";
  if (number >= 100) return number.toFixed(0);
  if (number >= 10) return number.toFixed(1);
  return number.toFixed(2);
}
