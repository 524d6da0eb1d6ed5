// The live stream: takes the whole state and its changes in, and comes back after it was lost.

const AGAIN_MS = 1000,
  SILENT_MS = 6000,
  EVENTS = 60;

export class Stream {
  // `changed` is called with the names of parts that came; `lost` with why, or "" when it is back.
  constructor(changed, lost) {
    [this.changed, this.lost] = [changed, lost];
    this.parts = new Map();
    this.events = [];
    this.alarms = [];
    this.missed = null;
    this.id = "";
    this.isLive = false;
    this.ahead = 0;
    setInterval(() => this.watch(), 1000);
    this.open();
  }

  // The daemon's time, which a rehearsal may have moved.
  now() {
    return performance.now() + this.ahead;
  }

  open() {
    this.source?.close();
    this.heard = performance.now();
    this.source = new EventSource(`/api/v1/live${this.id ? `?after=${encodeURIComponent(this.id)}` : ""}`);
    this.source.addEventListener("whole", (event) => this.take(event, true));
    this.source.addEventListener("change", (event) => this.take(event, false));
    this.source.addEventListener("error", () => this.fail("the console does not answer"));
  }

  take(event, isWhole) {
    const told = JSON.parse(event.data);
    this.heard = performance.now();
    this.ahead = told.at - this.heard;
    this.heardAt = told.at;
    this.id = event.lastEventId;
    if (isWhole) {
      this.parts.clear();
      this.events = told.events;
      this.alarms = told.alarms;
      if (told.missed) this.missed = told.missed;
    } else if (told.events) this.events = [...this.events, ...told.events].slice(-EVENTS);
    if (!isWhole && told.alarms) this.alarms = [...this.alarms, ...told.alarms].slice(-EVENTS);
    for (const [name, part] of Object.entries(told.parts)) this.parts.set(name, part);
    for (const name of told.gone || []) this.parts.delete(name);
    if (!this.isLive) {
      this.isLive = true;
      this.lost("");
    }
    this.changed(isWhole);
  }

  fail(why) {
    this.source?.close();
    this.source = null;
    if (this.isLive || !this.why) this.lost(why);
    this.isLive = false;
    this.why = why;
    clearTimeout(this.again);
    this.again = setTimeout(() => this.open(), AGAIN_MS);
  }

  // A connection that says nothing is none: figures come every second.
  watch() {
    if (this.source && performance.now() - this.heard > SILENT_MS) this.fail("nothing has come for 6 s");
  }

  accounts() {
    return [...this.parts]
      .filter(([name]) => name.startsWith("account/"))
      .map(([, one]) => one)
      .sort((a, b) => a.account - b.account);
  }
}
