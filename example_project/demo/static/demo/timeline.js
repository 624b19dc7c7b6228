// One line of time on which a token of minutes and a key of months both have room: the distance from
// now is drawn by its logarithm. What comes near moves faster, and passes "now" from right to left.

import { element } from "./dom.js";

const UNIT = 30; // seconds; nearer to now than this the line is about straight
const REACH = 120 * 86400; // seconds at either end
const NOW = 0.36; // where now is: more room for what is to come

// Seconds from now, the label, and whether there is room for it on a phone too.
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

// From seconds after now to a fraction of the line's width.
function place(seconds) {
  const distance = Math.min(1, scaled(Math.abs(seconds)));
  return seconds < 0 ? NOW * (1 - distance) : NOW + (1 - NOW) * distance;
}

// A style property set from a script is not inline style to the Content-Security-Policy.
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

// A lane holds spans { from, to, kind } and points { at, kind }; a span without an end goes on.
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

// A session two days old, with the defaults of the settings.
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
