/** Formats values for people. All functions use English and decimal prefixes. */

const ABSENT = "–";

function scaled(value: number, units: readonly string[]): string {
  let unit = 0;
  let rest = value;
  // 999.5 would be shown as 1000 of the smaller unit.
  while (Math.abs(rest) >= 999.5 && unit < units.length - 1) {
    rest /= 1000;
    unit += 1;
  }
  const digits = unit === 0 ? (rest < 10 && !Number.isInteger(rest) ? 1 : 0) : rest < 9.95 ? 1 : 0;
  return `${rest.toFixed(digits)}${units[unit]}`;
}

/** `1234567` as `1.2 MB`. */
export function bytes(value: number | undefined): string {
  return value === undefined
    ? ABSENT
    : scaled(value, [" B", " kB", " MB", " GB", " TB", " PB", " EB"]);
}

/** `1234567` as `1.2 M`. */
export function count(value: number | undefined): string {
  return value === undefined ? ABSENT : scaled(value, ["", " k", " M", " G", " T", " P", " E"]);
}

/** A number with separators: `1,234,567`. */
export function integer(value: number | undefined): string {
  return value === undefined ? ABSENT : Math.round(value).toLocaleString("en-US");
}

/** A share from 0 to 1 as a percentage with two significant digits. */
export function percent(share: number | undefined): string {
  if (share === undefined) return ABSENT;
  const value = share * 100;
  if (value === 0) return "0 %";
  if (value < 0.01) return "<0.01 %";
  return `${value < 1 ? value.toFixed(2) : value < 9.95 ? value.toFixed(1) : value.toFixed(0)} %`;
}

/** Microseconds as `850 µs`, `1.2 ms`, `3.4 s` or, from two minutes, `1h30m`. */
export function microseconds(value: number | undefined): string {
  if (value === undefined) return ABSENT;
  return value < 120_000_000 ? scaled(value, [" µs", " ms", " s"]) : duration(value / 1000);
}

const DURATION_UNITS: readonly [number, string][] = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "m"],
  [1000, "s"],
];

/** Milliseconds in the notation of Prometheus: `15m`, `1h30m`. */
export function duration(milliseconds: number): string {
  let rest = Math.max(0, Math.round(milliseconds / 1000) * 1000);
  if (rest === 0) return "0s";
  let text = "";
  for (const [length, unit] of DURATION_UNITS) {
    const whole = Math.floor(rest / length);
    if (whole > 0) text += `${whole}${unit}`;
    rest -= whole * length;
  }
  return text;
}

const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const TIME_SECONDS = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});
const DATE_TIME = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
});

/** The local time of day, with seconds where `step` (milliseconds) is below a minute. */
export function time(at: number, step = 60_000): string {
  return (step < 60_000 ? TIME_SECONDS : TIME).format(at);
}

/** The local day and time. */
export function dateTime(at: number): string {
  return DATE_TIME.format(at);
}

const SOURCES: Record<string, string> = {
  ring: "memory",
  prometheus: "Prometheus",
  clickhouse: "ClickHouse",
};

/** Where the traffic that is shown comes from, for readers: `memory` is that of the collector. */
export function source(name: string): string {
  return SOURCES[name] ?? name;
}

/** A number and a noun: `1 link`, `2,000 links`. */
export function plural(value: number, noun: string): string {
  return `${integer(value)} ${noun}${value === 1 ? "" : "s"}`;
}
