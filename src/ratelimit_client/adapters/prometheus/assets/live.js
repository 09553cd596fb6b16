// Draws what /events tells, once a second.
//
// Law of this file: names come from rows and servers, so a text is only ever put in as a text. What is on the page is
// changed in place: a fold that is open stays open, and whoever reads with a screen reader is not thrown back.
"use strict";
(() => {
  const SPAN_S = 300, QUIET_MS = 5000, FIRST_MS = 2000, LONGEST_MS = 15000, DISPLACED_MS = 30000;
  const SPANS = [[60, 1], [120, 2], [SPAN_S, 5]]; // seconds shown, seconds of a bar
  const MODES = {
    ramp: "finding out how much goes at once", steady: "steady", sharing: "others use this budget, too",
    learnt_rate: "keeps a rate it learnt", slow_down: "asked to slow down", outage: "the server is away",
  };
  const COUNTED = [["requests", "Calls"], ["attempts", "Answers"], ["rate_limited", "Refused by"],
    ["retries", "Retried after"], ["tokens", "Tokens"]];

  // -- words --------------------------------------------------------------------------------

  const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
  const fine = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
  const number = (n) => n === null || n === undefined ? "–" : whole.format(n);
  const rate = (n) => (n >= 100 ? whole : fine).format(n);
  const clock = (ms) => new Date(ms).toTimeString().slice(0, 8);

  function span(s) {
    if (s < 10) return `${fine.format(s)} s`;
    if (s < 120) return `${Math.round(s)} s`;
    if (s < 7200) return `${Math.round(s / 60)} min`;
    return s < 172800 ? `${Math.floor(s / 3600)} h ${Math.round(s % 3600 / 60)} min` : `${Math.round(s / 86400)} days`;
  }

  function window_(s) {
    return { 1: "a second", 60: "a minute", 3600: "an hour", 86400: "a day" }[s] || `in ${span(s)}`;
  }

  // -- elements -----------------------------------------------------------------------------

  const SVG = "http://www.w3.org/2000/svg";
  const $ = (id) => document.getElementById(id);

  function make(tag, about = {}, ...inside) {
    const made = ["svg", "path", "line"].includes(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(about)) made.setAttribute(name, value);
    made.append(...inside);
    return made;
  }

  function put(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  function mark(element, name, value) {
    if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  }

  function wide(element, share) {
    element.style.width = `${(100 * Math.min(1, Math.max(0, share || 0))).toFixed(2)}%`;
  }

  // One child of *parent* for each of *things*, made once and changed from then on; others go.
  function each(parent, things, nameOf, build, change) {
    const old = parent.built || new Map(), now = new Map();
    let after = null;
    for (const thing of things) {
      let name = nameOf(thing);
      while (now.has(name)) name += " ";
      const one = old.get(name) || build(thing);
      old.delete(name);
      now.set(name, one);
      for (const element of one.elements || [one.element]) {
        const next = after ? after.nextSibling : parent.firstChild;
        if (next !== element) parent.insertBefore(element, next);
        after = element;
      }
      change(one, thing);
    }
    for (const gone of old.values()) for (const element of gone.elements || [gone.element]) element.remove();
    parent.built = now;
  }

  function table(kind, title, heads) {
    const body = make("tbody", { role: "rowgroup" });
    const row = make("tr", { role: "row" }, ...heads.map((head) => make("th", { role: "columnheader", scope: "col" }, head)));
    const whole_ = make("table", { role: "table", class: kind }, make("caption", {}, title), make("thead", { role: "rowgroup" }, row), body);
    return { element: whole_, body };
  }

  const cell = (field, about = {}) => make("td", { role: "cell", ...(field && { "data-field": field }), ...about });
  const bar = (kind, ...parts) => make("div", { class: `bar ${kind}`, "aria-hidden": "true" }, ...parts.map((part) => make("i", { class: part })));

  // -- budgets ------------------------------------------------------------------------------

  function buildBudget() {
    const name = make("th", { role: "rowheader", scope: "rowgroup", colspan: "4" });
    const [drawn, left, said, kept, full] = [bar("", "left", "kept", "said"), ...["level", "server_remaining", "reserve", "limit"].map((field) => cell(field))];
    const elements = [
      make("tr", { role: "row", class: "name" }, name),
      make("tr", { role: "row" }, left, said, kept, full),
      make("tr", { role: "presentation" }, make("td", { role: "presentation", class: "drawn", colspan: "4" }, drawn)),
    ];
    const [title, note, binds] = [make("span"), make("small"), make("small", { class: "binds" }, "binds now")];
    name.append(title, " ", note, " ", binds);
    return { elements, title, note, binds, drawn, left, said, kept, full };
  }

  function changeBudget(one, bucket, binds) {
    const [left, kept, said] = one.drawn.children, full = bucket.limit || 1;
    put(one.title, `${bucket.name.replace(/ per [\d.]+ s$/, "")} ${window_(bucket.window_s)}`);
    const notes = [{ config: "as you set it", header: "as the server says", prior: "learnt earlier", learned: "learnt", lease: "on loan" }[bucket.source] || bucket.source];
    if (bucket.gate_s > 0) notes.push(`shut for ${span(bucket.gate_s)}`);
    if (bucket.learnt_burst !== null) notes.push(`${number(bucket.learnt_burst)} at once`);
    if (bucket.foreign_ratio >= .005) notes.push(`others take ${Math.round(100 * bucket.foreign_ratio)} %`);
    put(one.note, notes.join(", "));
    one.binds.hidden = !binds;
    put(one.left, number(bucket.level));
    put(one.said, number(bucket.server_remaining));
    put(one.kept, number(bucket.reserve));
    put(one.full, number(bucket.limit));
    wide(left, bucket.level / full);
    wide(kept, bucket.reserve / full);
    said.hidden = bucket.server_remaining === null;
    said.style.left = `${100 * Math.min(1, Math.max(0, (bucket.server_remaining || 0) / full))}%`;
    said.style.width = ""; // as the style sheet has it
  }

  function legend(...entries) {
    return make("p", { class: "legend", "aria-hidden": "true" }, ...entries.map(([kind, text]) => make("span", {}, make("i", { class: kind }), text)));
  }

  // -- the plot -----------------------------------------------------------------------------

  function buildPlot() {
    const paths = ["go", "no"].map((kind) => make("path", { class: kind }));
    const lines = ["grid", "zero", "pace", "at"].map((kind) => make("line", { class: kind, x1: 0, x2: 600 }));
    const svg = make("svg", { viewBox: "0 0 600 160", preserveAspectRatio: "none", "aria-hidden": "true" }, lines[0], ...paths, lines[1], lines[2], lines[3]);
    const top = make("span");
    const box = make("div", { class: "plot", tabindex: "0", role: "slider", "aria-valuemin": "0", "aria-valuemax": "0", "aria-valuenow": "0", "aria-valuetext": "now", "aria-label": "Admissions and refusals; arrow keys go through time" }, svg);
    const [from, till, says] = [make("span"), make("span", {}, "now"), make("p", { class: "said-at" })];
    const numbers = table("", "Admitted and refused", ["Until", "Admitted", "Refused"]);
    const fold = make("details", {}, make("summary", {}, "The plot as a table"), make("div", { class: "columns", tabindex: "0", role: "region", "aria-label": "Admitted and refused, by time" }, numbers.element));
    const pace = make("span", {}, make("i", { class: "pace" }), make("span"));
    const key = legend(["", "admitted"], ["no", "refused"]);
    key.append(pace);
    const element = make("figure", {}, make("figcaption", {}, make("h4", {}, "Admitted and refused, a second"), top), box, make("div", { class: "axis", "aria-hidden": "true" }, from, till), key, says, fold);
    const one = { element, svg, paths, lines, box, top, from, says, pace, fold, body: numbers.body, bars: [], at: null };
    fold.addEventListener("toggle", () => changeNumbers(one));
    box.addEventListener("pointermove", (event) => {
      const place = box.getBoundingClientRect();
      point(one, Math.floor((event.clientX - place.left) / place.width * one.bars.length));
    });
    box.addEventListener("pointerleave", () => point(one, null));
    box.addEventListener("blur", () => point(one, null));
    box.addEventListener("focus", () => point(one, one.bars.length - 1));
    box.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -1e9, End: 1e9 }[event.key];
      if (steps === undefined) return;
      event.preventDefault();
      point(one, (one.at ?? one.bars.length - 1) + steps);
    });
    return one;
  }

  // Which bar is pointed at: what it says stands below the plot.
  function point(one, at) {
    one.at = at === null || !one.bars.length ? null : Math.min(one.bars.length - 1, Math.max(0, at));
    const line = one.lines[3];
    line.toggleAttribute("hidden", one.at === null);
    mark(line, "visibility", one.at === null ? "hidden" : "visible");
    if (one.at === null) return put(one.says, "");
    const found = one.bars[one.at], x = (one.at + .5) * 600 / one.bars.length;
    for (const [name, value] of [["x1", x], ["x2", x], ["y1", 0], ["y2", 160]]) mark(line, name, String(value));
    const text = `${clock(found.until_s * 1000)}: ${rate(found.admitted / found.seconds)} admitted and ${rate(found.refused / found.seconds)} refused a second`;
    put(one.says, text);
    mark(one.box, "aria-valuemax", String(one.bars.length - 1));
    mark(one.box, "aria-valuenow", String(one.at));
    mark(one.box, "aria-valuetext", text);
  }

  // Seconds are put together to bars whose edges stay where they are while time goes on.
  function barsOf(past, now_s) {
    const age = past.size ? now_s - Math.min(...past.keys()) : 0;
    const [shown_s, each_s] = SPANS.find(([seconds]) => age <= seconds) || SPANS.at(-1);
    const last = Math.floor(now_s / each_s), bars = [];
    for (let n = last - shown_s / each_s + 1; n <= last; n++) {
      bars.push({ until_s: (n + 1) * each_s, seconds: each_s, admitted: 0, refused: 0 });
    }
    for (const [at_s, [admitted, refused]] of past) {
      const found = bars[Math.floor(at_s / each_s) - last + bars.length - 1];
      if (!found) continue;
      found.admitted += admitted;
      found.refused += refused;
    }
    bars.at(-1).seconds = Math.max(Math.min(1, each_s), now_s - last * each_s);
    return { bars, shown_s };
  }

  function changePlot(one, past, now_s, pace) {
    const { bars, shown_s } = barsOf(past, now_s);
    one.bars = bars;
    const up = bars.map((each_) => each_.admitted / each_.seconds), down = bars.map((each_) => each_.refused / each_.seconds);
    // What is admitted for long is no more than the limit lets through, so what is far above is a burst. It is no
    // reason to draw all that comes after it flat: it is cut, and says so.
    const busy = up.filter((n) => n > 0).sort((a, b) => a - b), deep = Math.max(...down), most = Math.max(...up, deep);
    const usual = busy.length ? busy[Math.floor(busy.length / 2)] : 0;
    const room_ = Math.max(.4, Math.min(1.08 * most, Math.max(pace === null ? 3 * usual : 2 * pace, 1.5 * usual, 1.5 * deep)));
    const top = pace !== null && pace > room_ && pace < 1.6 * room_ ? 1.1 * pace : room_;
    const low = deep > 0 ? Math.max(8, Math.min(78, 156 * deep / (top + deep))) : 0;
    const zero = 158 - low, high = zero - 2, w = 600 / bars.length;
    const height = (n, room) => Math.min(room, Math.max(n > 0 ? 2.5 : 0, n / top * high));
    const steps = (values, sign, room) => values.map((n, i) => {
      const h = height(n, room), x = (i * w + w * .08).toFixed(2), r = (w * .84).toFixed(2);
      if (!h) return "";
      const cut = n / top * high > room + .5;
      const box = (y, t) => `M${x} ${y.toFixed(2)}h${r}v${(sign * t).toFixed(2)}h-${r}z`;
      return cut ? box(zero, h - 8) + box(zero + sign * (h - 5), 5) : box(zero, h);
    }).join("");
    mark(one.paths[0], "d", steps(up, -1, high));
    mark(one.paths[1], "d", steps(down, 1, 158 - zero));
    const level = (line, y) => { mark(line, "y1", y.toFixed(1)); mark(line, "y2", y.toFixed(1)); };
    level(one.lines[0], zero - high);
    level(one.lines[1], zero);
    const shown = pace !== null && pace <= top;
    mark(one.lines[2], "visibility", shown ? "visible" : "hidden");
    if (shown) level(one.lines[2], zero - pace / top * high);
    one.pace.hidden = pace === null;
    if (pace !== null) put(one.pace.lastChild, `${shown ? "" : "(not drawn) "}limit ${rate(pace)} requests a second`);
    put(one.top, most > top ? `up to ${rate(top)}; cut bars up to ${rate(most)}` : `up to ${rate(top)}`);
    put(one.from, `${shown_s / 60} min ago`);
    point(one, one.at);
    changeNumbers(one);
  }

  function changeNumbers(one) {
    if (!one.fold.open) return;
    const rows = [...one.bars].reverse();
    each(one.body, rows, (row) => String(row.until_s), () => {
      const cells = [make("th", { role: "rowheader", scope: "row" }), cell(), cell()];
      return { element: make("tr", { role: "row" }, ...cells), cells };
    }, ({ cells }, row) => [clock(row.until_s * 1000), number(row.admitted), number(row.refused)].forEach((text, i) => put(cells[i], text)));
  }

  // -- a key --------------------------------------------------------------------------------

  function buildKey(key) {
    const title = make("h3", { id: `key-${++buildKey.made}` }), mode = make("span", { class: "mode" }), why = make("p", { class: "why", "data-field": "reason" });
    const tiles = {}, list = make("dl", { class: "tiles" });
    for (const [name, text, kind] of [["next", "A call now", "waits"], ["queued", "Queued", "waits"], ["flight", "Under way", "goes"], ["admitted", "Admitted", "goes"], ["refused", "Refused", "fails"]]) {
      const [main, small] = [make("span", { "data-field": name }), make("small")];
      tiles[name] = { main, small };
      list.append(make("div", { class: kind }, make("dt", {}, text), make("dd", {}, main, " ", small)));
    }
    const room = bar("room", "left");
    tiles.flight.main.closest("div").append(room);
    const budgets = table("budgets", "What is left of the budgets", ["We believe", "Server said", "Kept back", "In full"]);
    const queue = table("queue", "Queue by priority, lower first", ["Priority", "", "Calls", "Tokens", "Longest wait"]);
    queue.element.querySelectorAll("th")[1].replaceWith(make("td", { role: "cell", "aria-hidden": "true" }));
    const plot = buildPlot();
    const sides = [make("div", {}, budgets.element, legend(["", "we believe"], ["said", "server said"], ["kept", "kept back"])), make("div", {}, plot.element), make("div", {}, queue.element)];
    const element = make("article", { class: "card", "aria-labelledby": title.id, "data-model": key.model }, make("div", { class: "head" }, title, mode), why, list, make("div", { class: "parts" }, ...sides));
    return { element, title, mode, why, tiles, room, budgets: budgets.body, queue: queue.body, plot };
  }
  buildKey.made = 0;

  function changeKey(one, key, past, now_s) {
    const why = key.explanation, { tiles } = one;
    put(one.title, key.model);
    put(one.mode, MODES[key.mode] || key.mode);
    mark(one.mode, "data-is", key.mode);
    const reason = why.reason || "";
    put(one.why, `${reason.charAt(0).toUpperCase()}${reason.slice(1)}.`);
    put(tiles.next.main, why.admissible ? "goes" : why.ready_in_s === null ? "waits" : span(why.ready_in_s));
    put(tiles.next.small, why.admissible ? "at once" : why.binding ? `for ${why.binding}` : "");
    put(tiles.queued.main, number(key.queued));
    put(tiles.queued.small, key.queued ? `for ${span(key.oldest_wait_s)}` : "");
    put(tiles.flight.main, number(key.in_flight));
    put(tiles.flight.small, `of ${number(key.window)}`);
    wide(one.room.firstChild, key.in_flight / (key.window || 1));
    put(tiles.admitted.main, number(key.granted));
    put(tiles.refused.main, number(key.refused));
    let recent = 0;
    for (const [at_s, [admitted]] of past) if (at_s > now_s - 10) recent += admitted;
    put(tiles.admitted.small, `${rate(recent / 10)}/s`);
    put(tiles.refused.small, key.granted ? `${fine.format(100 * key.refused / key.granted)} %` : "");

    each(one.budgets, key.buckets, (bucket) => bucket.name, buildBudget, (row, bucket) => changeBudget(row, bucket, !why.admissible && `${why.binding} `.startsWith(`${bucket.unit} `)));
    one.budgets.closest("div").hidden = !key.buckets.length;
    const most = Math.max(1, ...key.queue.map((band) => band.queued));
    each(one.queue, key.queue, (band) => String(band.priority), buildBand, (row, band) => {
      put(row.name, String(band.priority));
      wide(row.drawn.firstChild, band.queued / most);
      put(row.calls, number(band.queued));
      put(row.tokens, number(band.tokens));
      put(row.oldest, band.queued ? span(band.oldest_wait_s) : "–");
    });
    const requests = key.buckets.filter((bucket) => bucket.unit === "requests").map((bucket) => bucket.limit / bucket.window_s);
    changePlot(one.plot, past, now_s, requests.length ? Math.min(...requests) : null);
  }

  function buildBand() {
    const name = make("th", { role: "rowheader", scope: "row" }), drawn = bar("waits", "left");
    const [calls, tokens, oldest] = ["queued", "queued_tokens", "oldest_wait_s"].map((field) => cell(field));
    const element = make("tr", { role: "row" }, name, make("td", { role: "cell", class: "drawn", "aria-hidden": "true" }, drawn), calls, tokens, oldest);
    return { element, name, drawn, calls, tokens, oldest };
  }

  // -- clients, jobs, counts ------------------------------------------------------------------

  function buildClient() {
    const title = make("h2", { id: `client-${++buildClient.made}` }), about = make("p"), cards = make("div", { class: "cards" }), others = make("p", { class: "note" });
    return { element: make("section", { "aria-labelledby": title.id }, make("div", { class: "of" }, title, about), cards, others), title, about, cards, others };
  }
  buildClient.made = 0;

  function changeClient(one, client, now_s) {
    put(one.title, client.client);
    put(one.about, `${number(client.in_flight)} of at most ${number(client.max_in_flight)} calls under way, ${number(client.queued)} in the queue`);
    each(one.cards, client.keys, (key) => key.model, buildKey, (card, key) => changeKey(card, key, pastOf(client, key), now_s));
    const { keys, in_flight, queued } = client.others;
    one.others.hidden = !keys;
    put(one.others, `and ${number(keys)} more keys: ${number(in_flight)} calls under way, ${number(queued)} in the queue`);
  }

  function buildJob() {
    const title = make("h3", { id: `job-${++buildJob.made}` }), state = make("p", { class: "why" }), drawn = bar("", "left", "failed", "running"), list = make("dl");
    return { element: make("article", { class: "card job", "aria-labelledby": title.id }, title, drawn, list, state), title, state, drawn, list };
  }
  buildJob.made = 0;

  function changeJob(one, job) {
    const { rows } = job, told = job.progress || {}, n = (state) => rows[state] || 0;
    const total = told.total ?? (n("pending") + n("running") + n("done") + n("failed"));
    put(one.title, job.job);
    const parts = [n("done"), n("failed"), n("running")];
    let left = 0;
    parts.forEach((part, i) => {
      one.drawn.children[i].style.left = `${100 * left / (total || 1)}%`;
      wide(one.drawn.children[i], part / (total || 1));
      left += part;
    });
    const facts = [["done", number(n("done"))], ["failed", number(n("failed"))], ["running", number(n("running"))], ["pending", number(n("pending"))], ["in all", number(total)]];
    if (typeof told.rate === "number") facts.push(["rows a second", rate(told.rate)]);
    if (told.limit) facts.push([told.binds ? "bound by" : "limit used most", String(told.limit)]);
    if (typeof told.eta_s === "number") facts.push(["time left", told.eta_s ? `about ${span(told.eta_s)}` : "nothing"]);
    each(one.list, facts, ([name]) => name, ([name]) => {
      const value = make("dd", { "data-field": name });
      return { element: make("div", {}, make("dt", {}, ...(name in rows ? [make("i", { class: name, "aria-hidden": "true" })] : []), name), value), value };
    }, ({ value }, [, text]) => put(value, text));
    one.state.hidden = !told.state;
    put(one.state, told.state ? String(told.state) : "");
  }

  const counted = table("", "Since the program watches, by client and model", ["Client and model", ...COUNTED.map(([, title]) => title)]);
  counted.element.querySelector("caption").classList.add("note");

  function buildCount() {
    const name = make("th", { role: "rowheader", scope: "row" });
    const cells = COUNTED.map(([field, title]) => cell(field, { class: "text", "data-label": title }));
    return { element: make("tr", { role: "row" }, name, ...cells), name, cells };
  }

  function changeCount(one, row) {
    put(one.name, `${row.client}, ${row.model}`);
    COUNTED.forEach(([field], i) => {
      const parts = Object.entries(row[field] || {}).map(([name, n]) => `${name.replaceAll("_", " ")} ${number(n)}`);
      put(one.cells[i], parts.join(", ") || "–");
    });
  }

  // -- the whole ------------------------------------------------------------------------------

  let state = null, past = new Map();
  const nameOf = (...parts) => JSON.stringify(parts);
  const pastOf = (client, key) => past.get(nameOf(client.client, key.model)) || new Map();

  // Of each key: when a second was over -> how many were admitted and refused in it.
  function remember(told, anew) {
    if (anew) past = new Map();
    const times = told.history.at_s.slice(1), oldest_s = told.now_s - SPAN_S;
    for (const client of told.clients) {
      for (const key of client.keys) {
        const name = nameOf(client.client, key.model), seen = past.get(name) || new Map();
        times.forEach((at_s, i) => seen.set(at_s, [key.history.admitted[i], key.history.refused[i]]));
        for (const at_s of seen.keys()) if (at_s < oldest_s) seen.delete(at_s);
        past.set(name, seen);
      }
    }
  }

  function draw() {
    if (!state || document.hidden || paused) return;
    const busy = state.clients.filter((client) => client.keys.length || client.others.keys);
    each($("clients"), busy, (client) => client.client, buildClient, (one, client) => changeClient(one, client, state.now_s));
    $("nothing").hidden = busy.length > 0;
    $("jobs").hidden = !state.jobs.length;
    each($("jobs").list, state.jobs, (job) => job.job, buildJob, changeJob);
    $("counts").hidden = !state.counts.length;
    each(counted.body, state.counts, (row) => nameOf(row.client, row.model), buildCount, changeCount);
    put($("version"), `; ratelimit-client ${state.version}`);
    put($("clock").lastChild, clock(state.now_s * 1000));
    const queued = state.clients.reduce((sum, client) => sum + client.queued, 0), out = state.clients.reduce((sum, client) => sum + client.in_flight, 0);
    const title = `${number(queued)} queued, ${number(out)} under way – ratelimit-client`;
    if (document.title !== title) document.title = title;
    document.documentElement.dataset.drawn = String(state.now_s);
  }

  // -- contact --------------------------------------------------------------------------------

  let source = null, timer = null, heard = Date.now(), wait = FIRST_MS, paused = false, is = "connecting", anew = false;

  function contact(what, text) {
    if (is === what && what !== "lost") return;
    is = what;
    mark($("contact"), "data-is", what);
    put($("contact"), text);
    document.body.classList.toggle("stale", what !== "live");
  }

  function connect() {
    clearTimeout(timer);
    if (source) source.close();
    source = new EventSource("events");
    source.onopen = () => { anew = true; };
    source.onmessage = (event) => {
      heard = Date.now();
      wait = FIRST_MS;
      state = JSON.parse(event.data);
      remember(state, anew);
      anew = false;
      contact("live", "live");
      draw();
    };
    source.addEventListener("end", () => lost("The program stopped showing this at"));
    source.addEventListener("displaced", () => {
      wait = DISPLACED_MS;
      lost("Too many are watching; not told any more since");
    });
    source.onerror = () => lost("Lost contact since");
  }

  function lost(why) {
    source.close();
    clearTimeout(timer);
    timer = setTimeout(connect, wait * (.75 + Math.random() / 2));
    wait = Math.min(LONGEST_MS, wait * 1.6);
    if (is !== "lost") contact("lost", state ? `${why} ${clock(heard)}` : "No contact yet");
  }

  setInterval(() => { if (is === "live" && Date.now() - heard > QUIET_MS) lost("Lost contact since"); }, 1000);
  document.addEventListener("visibilitychange", () => {
    draw();
    if (!document.hidden && is === "lost") connect();
  });
  $("pause").addEventListener("click", () => {
    paused = !paused;
    mark($("pause"), "aria-pressed", String(paused));
    draw();
  });

  $("jobs").list = $("jobs").appendChild(make("div"));
  $("counts").appendChild(make("div", { class: "card counts" }, counted.element));
  connect();
})();
