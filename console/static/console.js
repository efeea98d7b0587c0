// The live page's script: it puts what the server wrote in place, and works nothing out but how long it was quiet.
// All text goes in as text. One tab of a browser holds the stream and passes what comes on to the others.
"use strict";

(() => {
  const ROWS_MAX = 100;
  const WAITING_MAX = 500; // calls that a paused page keeps; beyond, it loads anew
  const RETRY_MS = 5000; // after a refusal; a lost connection the browser mends by itself
  const TICK_MS = 1000;
  const QUIET_AFTER_S = 10;
  const COUNT_EVERY = 10; // calls; a row at a time would never let a screen reader finish
  const STATES = {
    connecting: "Connecting",
    live: "Live: new calls appear by themselves",
    lost: "The connection is lost; trying again. What happens meanwhile will be fetched",
    refused: "The server opens no stream now; trying again every 5 s",
  };

  const find = (id) => document.getElementById(id);
  const bar = find("live");
  const list = find("rows");
  const pattern = find("row");
  const pause = find("pause");
  const { stream, ledger } = bar.dataset;
  const name = `exai-live ${ledger}`;

  const shown = new Map(); // a row by its call
  const latest = new Map(); // the last message of a call, for tabs that were opened meanwhile
  let since = Number(bar.dataset.after); // the rows that came with the page are as of this ledger index
  let last = since;
  let state = "connecting";
  let leads = false;
  let paused = null; // what waits while the reader pauses
  let arrivedAt = Date.now();
  let uncounted = 0;

  function fill(part, told) {
    for (const one of part.querySelectorAll("[data-class]")) one.classList.add(told[one.dataset.class]);
    for (const one of part.querySelectorAll("[data-set]"))
      for (const [attribute, key] of one.dataset.set.split(" ").map((pair) => pair.split("=")))
        one.setAttribute(attribute, told[key]);
    for (const one of part.querySelectorAll("[data-text]"))
      if (told[one.dataset.text]) one.textContent = told[one.dataset.text];
      else one.remove();
  }

  function copies(holder, told) {
    for (const one of told) {
      const copy = holder.querySelector("template").content.cloneNode(true);
      fill(copy, one);
      holder.append(copy);
    }
    holder.querySelector("template").remove();
  }

  function made(row) {
    const line = pattern.content.cloneNode(true).querySelector("tr");
    fill(line, row);
    for (const holder of line.querySelectorAll("[data-each]")) copies(holder, row[holder.dataset.each]);
    line.dataset.call = row.tool_call_id;
    line.dataset.order = row.opened_index;
    return line;
  }

  function put(row, index) {
    const old = shown.get(row.tool_call_id);
    const line = made(row);
    line.dataset.index = index;
    shown.set(row.tool_call_id, line);
    if (old) {
      const focused = old.contains(document.activeElement);
      old.replaceWith(line);
      if (focused) line.querySelector("a").focus();
      return;
    }
    const older = [...list.rows].find((one) => Number(one.dataset.order) < row.opened_index);
    list.insertBefore(line, older ?? null);
    find("calls").hidden = false;
    find("none").hidden = true;
    trim();
  }

  function trim() {
    for (const line of [...list.rows].slice(ROWS_MAX)) {
      if (line.contains(document.activeElement)) continue;
      shown.delete(line.dataset.call);
      line.remove();
    }
  }

  function take(message) {
    if (message.kind === "resync") {
      since = message.index;
      shown.clear();
      list.replaceChildren();
      for (const row of [...message.rows].reverse()) put(row, message.index);
      return;
    }
    const line = shown.get(message.row.tool_call_id);
    if (message.index <= Number(line?.dataset.index ?? since)) return;
    if (!line) uncounted += 1;
    put(message.row, message.index);
  }

  function keep(message) {
    if (message.kind === "resync") latest.clear();
    const call = message.kind === "resync" ? "" : message.row.tool_call_id;
    latest.delete(call);
    latest.set(call, message);
    if (latest.size > ROWS_MAX) latest.delete(latest.keys().next().value);
  }

  function wait(message) {
    if (message.kind === "resync") paused.clear();
    paused.set(message.kind === "resync" ? "" : message.row.tool_call_id, message);
    const many = paused.size > WAITING_MAX;
    find("waiting").textContent = many ? `more than ${WAITING_MAX} calls wait` : `${paused.size} waiting`;
  }

  function receive(message) {
    if (message.kind === "state") return say(message.state);
    arrivedAt = Date.now();
    last = message.kind === "resync" ? message.index : Math.max(last, message.index);
    keep(message);
    if (paused === null) take(message);
    else if (paused.size <= WAITING_MAX) wait(message);
  }

  function say(now) {
    state = now;
    find("state").textContent = STATES[now];
  }

  function tick() {
    const quiet_s = Math.floor((Date.now() - arrivedAt) / 1000);
    const long = quiet_s < 60 ? `${quiet_s} s` : `${Math.floor(quiet_s / 60)} min`;
    find("quiet").textContent = state === "live" && quiet_s >= QUIET_AFTER_S ? `quiet for ${long}` : "";
    if (uncounted >= COUNT_EVERY || (uncounted && quiet_s >= QUIET_AFTER_S)) {
      find("count").textContent = uncounted === 1 ? "1 new call" : `${uncounted} new calls`;
      uncounted = 0;
    }
  }

  pause.addEventListener("click", () => {
    const waited = paused;
    paused = waited === null ? new Map() : null;
    pause.setAttribute("aria-pressed", String(paused !== null));
    find("waiting").textContent = paused === null ? "" : "0 waiting";
    if (waited !== null && waited.size > WAITING_MAX) location.reload();
    else if (waited !== null) for (const message of waited.values()) take(message);
  });

  let pass = () => {};

  function told(message) {
    receive(message);
    pass(message);
  }

  function connect() {
    const source = new EventSource(`${stream}?${new URLSearchParams({ ledger, after: last })}`);
    for (const kind of ["step", "resync"])
      source.addEventListener(kind, (event) => told({ kind, ...JSON.parse(event.data) }));
    source.addEventListener("open", () => told({ kind: "state", state: "live" }));
    source.addEventListener("error", () => {
      const refused = source.readyState === EventSource.CLOSED;
      told({ kind: "state", state: refused ? "refused" : "lost" });
      if (refused) setTimeout(connect, RETRY_MS);
    });
  }

  // A browser has six connections for a host: a stream in each tab would leave the seventh tab none.
  function share() {
    const channel = new BroadcastChannel(name);
    pass = (message) => channel.postMessage(message);
    channel.addEventListener("message", ({ data: message }) => {
      if (message.kind !== "hello") receive(message);
      else if (leads) {
        pass({ kind: "state", state });
        for (const one of latest.values()) if (one.index > message.index) pass(one);
      }
    });
    pass({ kind: "hello", index: last });
    navigator.locks.request(name, () => {
      leads = true;
      connect();
      return new Promise(() => {}); // held until the tab is gone; then the next one leads
    });
  }

  for (const line of list.rows) shown.set(line.dataset.call, line);
  bar.hidden = false;
  find("unscripted").hidden = true;
  setInterval(tick, TICK_MS);
  if (navigator.locks && window.BroadcastChannel) share();
  else connect();
})();
