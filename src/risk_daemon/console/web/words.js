// How things are said. The same words and figures as the command line's.

const zone = (timeZone) =>
  new Intl.DateTimeFormat("en-GB", {
    timeZone,
    weekday: "short",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  });
const chicago = zone("America/Chicago");
const here = zone(undefined);
const clock = new Intl.DateTimeFormat("en-GB", {
  timeZone: "America/Chicago",
  hour: "2-digit",
  minute: "2-digit",
});
const clockSeconds = new Intl.DateTimeFormat("en-GB", {
  timeZone: "America/Chicago",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});
const localName = Intl.DateTimeFormat().resolvedOptions().timeZone;

export const both = (at) => {
  const date = new Date(at);
  const there = `${chicago.format(date)} Chicago`;
  return chicago.format(date) === here.format(date) ? there : `${there} (${here.format(date)} ${localName})`;
};
export const minute = (at) => clock.format(new Date(at));
export const second = (at) => clockSeconds.format(new Date(at));

export const many = (count, one, more) =>
  `${count.toLocaleString("en-US")} ${count === 1 ? one : more || one + "s"}`;
export const money = (text) => {
  const value = Number(text);
  if (!Number.isFinite(value)) return text;
  return `${value < 0 ? "−" : value > 0 ? "+" : ""}${Math.abs(value).toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
};
export const ms = (value) =>
  value === null || value === undefined
    ? "–"
    : value >= 1000
      ? `${(value / 1000).toFixed(1)} s`
      : value >= 100
        ? `${value.toFixed(0)} ms`
        : value >= 10
          ? `${value.toFixed(1)} ms`
          : `${value.toFixed(2)} ms`;
export const mb = (value) => (value === null || value === undefined ? "–" : `${value.toFixed(0)} MB`);
export const share = (part, whole) => {
  if (!whole) return "–";
  const value = (100 * part) / whole;
  return value === 100 || value === 0
    ? `${value} %`
    : `${value >= 99.995 ? "> 99.99" : value < 0.005 ? "< 0.01" : value.toFixed(2)} %`;
};
export const percent = (value) =>
  value === null || value === undefined ? "–" : `${value.toFixed(value >= 10 ? 0 : 1)} %`;
export const duration = (seconds) => {
  if (seconds === null || seconds === undefined) return "";
  for (const [size, unit] of [
    [86400, "d"],
    [3600, "h"],
    [60, "min"],
  ])
    if (seconds >= 2 * size) return `${Math.round(seconds / size)} ${unit}`;
  return `${seconds < 10 ? seconds.toFixed(1) : seconds.toFixed(0)} s`;
};
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
