// What a person may do from here; without a login, nothing.

import { el } from "./dom.js";

export class Actions {
  constructor(stream) {
    this.stream = stream;
    this.root = el("span");
    this.dialog = el("dialog");
  }

  buttons() {}
}
