// A timeline that has room for a token of minutes and for a key of months: distances from now are
// logarithmic. Marks move from right to left, and faster the nearer they are to "now".

import { element } from "./dom.js";

const UNIT = 30; // seconds; within this distance from now, the scale is about linear
const REACH = 120 * 86400; // seconds at either end
const NOW = 0.36; // the position of now: the future has more room

// Seconds from now, the label, and whether a phone's screen has room for it, too.
const DAY = 86400;
const TICKS = [
  [-90 * DAY, "90 days", "always"],
  [-DAY, "1 day", "wide"],
  [-3600, "1 h", "always"],
  [0, "now", "now"],
  [60, "1 min", "wide"],
  [15 * 60, "15 min", "always"],
  [3600, "1 h", "wide"],
  [DAY, "1 day", "always"],
  [7 * DAY, "7 days", "wide"],
  [90 * DAY, "90 days", "always"],
];

const scaled = (seconds) => Math.log1p(seconds / UNIT) / Math.log1p(REACH / UNIT);

// Convert seconds after now to a fraction of the line's width.
function place(seconds) {
  const distance = Math.min(1, scaled(Math.abs(seconds)));
  return seconds < 0 ? NOW * (1 - distance) : NOW + (1 - NOW) * distance;
}

// The Content-Security-Policy allows a style property that a script sets, unlike inline style.
function put(target, from, to) {
  target.style.setProperty("--from", from);
  target.style.setProperty("--to", to);
}

export function drawAxis(axis) {
  const ticks = TICKS.map(([seconds, label, room]) => {
    const tick = element("span", { className: `tick ${room}`, textContent: label });
    put(tick, place(seconds), 0);
    return tick;
  });
  axis.replaceChildren(...ticks);
}

// A lane holds spans { from, to, kind } and points { at, kind }. A span without an end never ends.
export class Lane {
  #track;
  #drawn = [];

  constructor(track) {
    this.#track = track;
  }

  show(items) {
    this.#drawn = items.map((item) => ({ item, mark: markOf(item) }));
    this.#track.replaceChildren(...this.#drawn.map(({ mark }) => mark));
  }

  tick(now) {
    const after = (date) => (date - now) / 1000;
    for (const { item, mark } of this.#drawn) {
      if (item.at !== undefined) put(mark, place(after(item.at)), 0);
      else put(mark, place(after(item.from)), item.to === null ? 1 : place(after(item.to)));
    }
  }
}

function markOf(item) {
  const shape = item.at === undefined ? "span" : "point";
  const open = item.to === null ? "open" : "";
  return element("span", { className: `${shape} ${item.kind} ${open}` });
}

// Spans that end early: what was left of them is dotted.
export function cut(marks, end) {
  return marks.flatMap((mark) =>
    mark.to > end
      ? [{ ...mark, to: end }, { from: end, to: mark.to, kind: "early" }]
      : [mark],
  );
}

// A session that is two days old, with the settings' defaults.
export function exampleMarks(now) {
  const at = (seconds) => new Date(now.getTime() + seconds * 1000);
  const token = (age, kind) => [
    { from: at(-age), to: at(900 - age), kind },
    { at: at(-age), kind: "start" },
  ];
  return {
    token: [...token(760, "other"), ...token(130, "main")],
    session: [
      { from: at(-2 * DAY), to: at(7 * DAY - 130), kind: "main" },
      { from: at(-20 * DAY), to: at(3 * DAY), kind: "other" },
    ],
    key: [
      { from: at(-80 * DAY), to: at(10 * DAY), kind: "main" },
      { from: at(10 * DAY - 600), to: at(10 * DAY), kind: "early" },
      { from: at(10 * DAY), to: null, kind: "main" },
    ],
  };
}
