"use strict";
// Draws a life: only what is visible, at most a few thousand shapes, from columns of events. No library, no network.
(() => {
  const L = JSON.parse(document.getElementById("life").textContent);
  const N = L.at.length, $ = (id) => document.getElementById(id);
  const LANE = 26, TOP = 26, MAP = 34, NAMES = 236, MOST_SHAPES = 1800, MOST_LINKS = 700;
  const svg = $("canvas"), details = $("details");
  const what = (i) => L.kinds[L.what[i]], actor = (i) => L.actors[L.actor[i]];
  const about = (i) => L.texts[L.about[i]], data = (i) => L.texts[L.data[i]];
  const known = new Set("step issue answer sent message event call begin exit fault failure stopped".split(" "));
  const looks = L.kinds.map((k) => (known.has(k) ? k : k.startsWith("net.") ? "net" : "other"));
  const esc = (t) => String(t).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
  const fix = (x) => x.toFixed(1);

  function duration(ns) {
    const s = ns / 1e9;
    if (s >= 7200) return (s / 3600).toFixed(1).replace(/\.0$/, "") + " h";
    if (s >= 120) return (s / 60).toFixed(1).replace(/\.0$/, "") + " min";
    if (s >= 1) return +s.toFixed(2) + " s";
    if (s >= 1e-3) return +(s * 1e3).toFixed(2) + " ms";
    return ns === 0 ? "0" : +(s * 1e6).toFixed(1) + " µs";
  }
  function instant(ns) {
    const s = ns / 1e9, h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60, rest = (s % 60).toFixed(3);
    return h ? `${h}:${String(m).padStart(2, "0")}:${rest.padStart(6, "0")}` : m ? `${m}:${rest.padStart(6, "0")}` : rest + " s";
  }

  // Where events stand: one unit each, and for the time between two a little more, however long it is.
  const pos = new Float64Array(N), gaps = [];
  for (let i = 1; i < N; i++) {
    const passed = L.at[i] - L.at[i - 1];
    const room = passed > 0 ? Math.min(9, 0.6 + 0.9 * Math.log10(1 + passed / 1e5)) : 0;
    pos[i] = pos[i - 1] + 1 + room;
    if (passed >= 1e9) gaps.push([i, passed]);
  }
  const LENGTH = N ? pos[N - 1] + 1 : 1;
  const firstOf = (x) => { let a = 0, b = N; while (a < b) { const m = (a + b) >> 1; if (pos[m] < x) a = m + 1; else b = m; } return a; };

  // Causes and effects: the event before on the same lane, and links.
  const before = new Int32Array(N).fill(-1), after = new Int32Array(N).fill(-1);
  const ends = L.actors.map(() => [-1, -1]), worldly = L.actors.map((name) => !name.includes("|"));
  for (let i = 0; i < N; i++) {
    const lane = ends[L.actor[i]];
    if (lane[1] >= 0) { before[i] = lane[1]; after[lane[1]] = i; } else lane[0] = i;
    lane[1] = i;
  }
  const causes = new Map(), effects = new Map();
  const put = (map, key, value) => { const list = map.get(key); if (list) list.push(value); else map.set(key, [value]); };
  for (const [a, b, kind] of L.links) { put(causes, b, [a, kind]); put(effects, a, [b, kind]); }
  const spanOf = new Map(), spans = [...L.spans].sort((one, other) => one[0] - other[0]);
  for (const [a, b] of L.spans) { spanOf.set(a, b); spanOf.set(b, a); }
  function reach(from, links, along) {
    const seen = new Uint8Array(N), left = [from];
    seen[from] = 1;
    while (left.length) {
      const i = left.pop(), near = worldly[L.actor[i]] ? -1 : along[i];
      if (near >= 0 && !seen[near]) { seen[near] = 1; left.push(near); }
      for (const [j] of links.get(i) || []) if (!seen[j]) { seen[j] = 1; left.push(j); }
    }
    return seen;
  }
  let failure = -1;
  for (let i = N - 1; i >= 0; i--) if (what(i) === "failure") { failure = i; break; }

  // State of the view.
  let x0 = -1, scale = 1, y0 = 0, chosen = -1, cone = null, coneWord = "", drawing = false;
  let rows = L.actors.map((_, i) => i), rowOf = [];
  let matches = [], matched = null, atMatch = -1;
  const hidden = new Set();

  const size = () => { const box = svg.getBoundingClientRect(); return [Math.max(box.width, 50), Math.max(box.height, 50)]; };
  const plot = () => { const [w, h] = size(); return { left: NAMES, width: w - NAMES, top: TOP, height: h - TOP - MAP }; };
  // Nothing is drawn far outside: dashes of endless lines would be counted all the same.
  const toX = (p) => Math.max(-900, Math.min(9000, NAMES + (p - x0) * scale));
  const laneY = (row) => TOP + row * LANE - y0 + LANE / 2;
  const yOf = (i) => laneY(rowOf[L.actor[i]]);
  const isShown = (i) => rowOf[L.actor[i]] >= 0 && !hidden.has(L.what[i]);

  function chooseRows() {
    const words = $("actors").value.toLowerCase().split(",").map((w) => w.trim()).filter(Boolean);
    const wanted = words.filter((w) => !w.startsWith("-")), not = words.filter((w) => w.startsWith("-") && w.length > 1);
    const inCone = cone && L.actors.map(() => false);
    if (cone) for (let i = 0; i < N; i++) if (cone[i]) inCone[L.actor[i]] = true;
    rows = [];
    L.actors.forEach((name, a) => {
      const low = name.toLowerCase();
      if (wanted.length && !wanted.some((w) => low.includes(w))) return;
      if (not.some((w) => low.includes(w.slice(1)))) return;
      if (cone && !inCone[a]) return;
      rows.push(a);
    });
    const rank = (a) => (L.actors[a] === "world" ? 0 : L.actors[a].startsWith(L.scenario + "|") ? 1 : worldly[a] ? 3 : 2);
    rows.sort((a, b) => rank(a) - rank(b) || ends[a][0] - ends[b][0]);
    rowOf = L.actors.map(() => -1);
    rows.forEach((a, row) => { rowOf[a] = row; });
  }
  function limit() {
    const { width, height } = plot();
    scale = Math.min(90, Math.max(scale, Math.min((width - 24) / (LENGTH + 1), 90)));
    const seen = width / scale;
    x0 = Math.max(-2, Math.min(x0, Math.max(LENGTH + 2 - seen, -2)));
    y0 = Math.max(0, Math.min(y0, Math.max(0, rows.length * LANE - height + 8)));
  }
  function draw() {
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(() => { drawing = false; limit(); paint(); });
  }

  // Painting ------------------------------------------------------------------------------------------------------
  function paint() {
    const { left, width, top, height } = plot(), [w, h] = size();
    const from = Math.max(0, firstOf(x0 - 1) - 1), to = Math.min(N, firstOf(x0 + width / scale + 1) + 1);
    const row0 = Math.max(0, Math.floor(y0 / LANE)), row1 = Math.min(rows.length, Math.ceil((y0 + height) / LANE));
    for (const [id, x, y, ww, hh] of [["cliprect", left, top, width, height], ["namerect", 0, top, NAMES, height]]) {
      const rect = $(id);
      rect.setAttribute("x", x); rect.setAttribute("y", y); rect.setAttribute("width", ww); rect.setAttribute("height", hh);
    }
    let back = "";
    for (let row = row0; row < row1; row++) {
      if (row % 2 === 0) back += `<rect class="stripe" x="0" y="${laneY(row) - LANE / 2}" width="${w}" height="${LANE}"></rect>`;
    }
    $("back").innerHTML = back;
    const shapes = [];
    paintGaps(shapes, from, to, top, height);
    paintLives(shapes, row0, row1);
    paintSpans(shapes, from, to, row0, row1);
    const lines = paintLinks(shapes, from, to, row0, row1);
    const merged = paintEvents(shapes, from, to, row0, row1, top, height);
    $("body").innerHTML = shapes.join("");
    paintAxis(from, to, w, width);
    paintNames(row0, row1);
    paintMap(w, h);
    const parts = [`${N.toLocaleString()} events, ${rows.length} of ${L.actors.length} lanes`];
    if (L.left_out) parts.push(`${L.left_out.toLocaleString()} earlier events left out`);
    if (L.cut_off) parts.push("the log is full: later events are missing");
    if (cone) parts.push(coneWord);
    if (merged) parts.push("events merged: zoom in to tell them apart");
    if (lines === false) parts.push("arrows appear when you zoom in");
    $("status").textContent = parts.join(" · ");
  }
  function paintGaps(out, from, to, top, height) {
    for (const [i, passed] of gaps) {
      if (i < from || i > to) continue;
      const a = toX(pos[i - 1]) + 5, b = toX(pos[i]) - 5;
      if (b - a < 3) continue;
      const box = `x="${fix(a)}" y="${top}" width="${fix(b - a)}" height="${height}"`;
      out.push(`<rect class="gapback" ${box}></rect><rect class="gapband" ${box}></rect>`);
      if (b - a > 40) out.push(`<text class="gap" text-anchor="middle" x="${fix((a + b) / 2)}" y="${top + height - 6}">${duration(passed)}</text>`);
    }
  }
  function paintLives(out, row0, row1) {
    for (let row = row0; row < row1; row++) {
      const [a, b] = ends[rows[row]], y = laneY(row);
      const told = (effects.get(b) || []).find(([j, k]) => L.link_kinds[k] === "event" && data(j).includes("pid.exit"));
      const x2 = told ? toX(pos[told[0]]) : what(b) === "exit" || worldly[rows[row]] ? toX(pos[b]) : toX(LENGTH);
      out.push(`<line class="lifeline" x1="${fix(toX(pos[a]))}" x2="${fix(x2)}" y1="${y}" y2="${y}"></line>`);
    }
  }
  const dim = (...ids) => (cone && !ids.every((i) => cone[i]) ? " dim" : "");
  function paintSpans(out, from, to, row0, row1) {
    let count = 0;
    const taken = new Map(); // row -> where its last label ends, so that none is written over another
    for (const [a, b] of spans) {
      const row = rowOf[L.actor[a]];
      if (b < from || a > to || row < row0 || row >= row1 || hidden.has(L.what[a])) continue;
      const x = Math.max(toX(pos[a]), NAMES - 9), width = Math.min(toX(pos[b]), NAMES + 9000) - x;
      if (width < 2 || ++count > MOST_SHAPES) continue;
      out.push(`<rect class="span${dim(a)}" x="${fix(x)}" y="${laneY(row) - 5}" width="${fix(width)}" height="10" rx="5"></rect>`);
      if (width > 70 && x + 11 > (taken.get(row) || 0)) {
        const text = about(a).split(" ")[0].slice(0, Math.floor((width - 22) / 5.4));
        taken.set(row, x + 17 + text.length * 5.6);
        out.push(`<text class="label${dim(a)}" x="${fix(x + 11)}" y="${laneY(row) - 7}">${esc(text)}</text>`);
      }
    }
  }
  function paintLinks(out, from, to, row0, row1) {
    const seen = [];
    for (const link of L.links) {
      const [a, b] = link, ra = rowOf[L.actor[a]], rb = rowOf[L.actor[b]];
      if (Math.max(a, b) < from || Math.min(a, b) > to || ra < 0 || rb < 0 || ra === rb && link[2] !== 5) continue;
      if (Math.max(ra, rb) < row0 || Math.min(ra, rb) >= row1) continue;
      if (a === b || hidden.has(L.what[a]) || hidden.has(L.what[b])) continue;
      const hot = a === chosen || b === chosen, inCone = cone && cone[a] && cone[b];
      const word = L.link_kinds[link[2]];
      if ((word === "shared" || word === "failure") && !hot && !inCone) continue;
      seen.push([a, b, word, hot, inCone]);
    }
    let few = seen.length <= MOST_LINKS ? seen : seen.filter((link) => link[3] || link[4]);
    if (few.length > MOST_LINKS) few = few.filter((link) => link[3]).slice(0, MOST_LINKS);
    for (const [a, b, word, hot, inCone] of few) {
      const x1 = toX(pos[a]), y1 = yOf(a), y2 = yOf(b), down = y2 > y1 ? 1 : -1;
      const x2 = toX(pos[b]), bend = Math.min(26, Math.abs(x2 - x1) / 2 + 6) * (x2 >= x1 ? 1 : -1);
      const target = Math.abs(y2 - y1) < 1 ? y2 - 5 : y2 - down * 5;
      const path = Math.abs(y2 - y1) < 1
        ? `M${fix(x1)},${fix(y1 - 4)} Q${fix((x1 + x2) / 2)},${fix(y1 - 20)} ${fix(x2)},${fix(target)}`
        : `M${fix(x1)},${fix(y1 + down * 4)} C${fix(x1 + bend / 3)},${fix(y1 + down * 14)} ${fix(x2 - bend / 2)},${fix(target - down * 14)} ${fix(x2)},${fix(target)}`;
      const look = hot || (cone && inCone) ? " hot" : cone ? " dim" : "";
      out.push(`<path class="link ${word}${look}" d="${path}" marker-end="url(#arrow)"></path>`);
    }
    return few.length === seen.length;
  }
  function glyph(i, x, y) {
    const kind = looks[L.what[i]], css = `k-${kind}${dim(i)}`;
    const bad = kind === "exit" && about(i) === "failed" ? " bad" : "";
    switch (kind) {
      case "step": return `<rect class="${css}" x="${fix(x - 1.5)}" y="${y - 6}" width="3" height="12" rx="1.5"></rect>`;
      case "issue": return `<circle class="${css}" cx="${fix(x)}" cy="${y}" r="4"></circle>`;
      case "answer": return `<circle class="${css}" cx="${fix(x)}" cy="${y}" r="3.4"></circle>`;
      case "sent": return `<path class="${css}" d="M${fix(x - 4)},${y - 4.5} L${fix(x + 4.5)},${y} L${fix(x - 4)},${y + 4.5} z"></path>`;
      case "message": case "event":
        return `<rect class="${css}" x="${fix(x - 4.5)}" y="${y - 3.5}" width="9" height="7" rx="1.5"></rect>`;
      case "call": return `<path class="${css}" d="M${fix(x)},${y - 5} l4.2,5 l-4.2,5 l-4.2,-5 z"></path>`;
      case "begin": return `<path class="${css}" d="M${fix(x - 4)},${y - 6} h3 v12 h-3 z M${fix(x - 1)},${y - 4} l6,4 l-6,4 z"></path>`;
      case "exit": return `<path class="${css}${bad}" d="M${fix(x - 5)},${y - 5} l2,-2 l3,3 l3,-3 l2,2 l-3,3 l3,3 l-2,2 l-3,-3 l-3,3 l-2,-2 l3,-3 z"></path>`;
      case "fault": return `<path class="${css}" d="M${fix(x)},${y - 8} l8,14 h-16 z"></path>`;
      case "failure": case "stopped": return `<path class="${css}" d="M${fix(x)},${y - 8} l8,8 l-8,8 l-8,-8 z"></path>`;
      default: return `<rect class="${css}" x="${fix(x - 3)}" y="${y - 3}" width="6" height="6"></rect>`;
    }
  }
  function paintEvents(out, from, to, row0, row1, top, height) {
    let count = 0;
    for (let i = from; i < to && count <= MOST_SHAPES; i++) {
      const row = rowOf[L.actor[i]];
      if (row >= row0 && row < row1 && isShown(i)) count++;
    }
    const merged = count > MOST_SHAPES, bars = new Map();
    for (let i = from; i < to; i++) {
      const kind = looks[L.what[i]], row = rowOf[L.actor[i]];
      if (!isShown(i)) continue;
      const x = toX(pos[i]);
      if ((kind === "fault" || kind === "failure") && x > 0) {
        const css = kind === "fault" ? "faultline" : "failureline";
        out.push(`<line class="${css}" x1="${fix(x)}" x2="${fix(x)}" y1="${top}" y2="${top + height}"></line>`);
      }
      if (row < row0 || row >= row1) continue;
      if (!merged || kind === "fault" || kind === "failure") { out.push(glyph(i, x, laneY(row))); continue; }
      const key = row * 65536 + Math.floor(x / 3), bar = bars.get(key);
      if (!bar) bars.set(key, [1, i]);
      else { bar[0]++; if (kind !== "step" && looks[L.what[bar[1]]] === "step" || cone && cone[i] && !cone[bar[1]]) bar[1] = i; }
    }
    for (const [key, [many, i]] of bars) {
      const tall = Math.min(LANE - 6, 5 + 4 * Math.log2(many + 1)), x = (key % 65536) * 3, y = laneY(Math.floor(key / 65536));
      const css = looks[L.what[i]] === "answer" ? "issue" : looks[L.what[i]];
      out.push(`<rect class="k-${css}${dim(i)}" x="${x}" y="${fix(y - tall / 2)}" width="2.6" height="${fix(tall)}"></rect>`);
    }
    if (matched) for (let i = from, n = 0; i < to && n < 600; i++) {
      if (!matched[i] || !isShown(i)) continue;
      n++;
      out.push(`<circle class="match" cx="${fix(toX(pos[i]))}" cy="${yOf(i)}" r="8"></circle>`);
    }
    if (chosen >= 0 && rowOf[L.actor[chosen]] >= 0) out.push(`<circle class="chosen" cx="${fix(toX(pos[chosen]))}" cy="${yOf(chosen)}" r="10"></circle>`);
    return merged;
  }
  function paintAxis(from, to, w, width) {
    let out = `<rect class="panel" x="0" y="0" width="${w}" height="${TOP}"></rect><line class="edge" x1="0" x2="${w}" y1="${TOP}" y2="${TOP}"></line>`;
    out += `<text class="tick" x="12" y="17">virtual time</text>`;
    let last = "", edge = -1e9;
    for (let x = 0; x < width && N; x += 12) {
      const i = firstOf(x0 + x / scale);
      if (i < from || i >= Math.min(to, N)) continue;
      const text = instant(L.at[i]), at = toX(pos[i]);
      if (text === last || at < NAMES || at - edge < 92 || at > w - 30) continue;
      out += `<line class="edge" x1="${fix(at)}" x2="${fix(at)}" y1="${TOP - 6}" y2="${TOP}"></line><text class="tick" x="${fix(at)}" y="15" text-anchor="middle">${text}</text>`;
      last = text; edge = at;
    }
    $("axis").innerHTML = out;
  }
  function paintNames(row0, row1) {
    const [, h] = size();
    let out = `<rect class="bg" x="0" y="${TOP}" width="${NAMES}" height="${h}" opacity="0.93"></rect>`;
    for (let row = row0; row < row1; row++) {
      const [name, pid] = L.actors[rows[row]].split("|");
      const room = pid ? 26 : 34, text = name.length > room ? "…" + name.slice(1 - room) : name;
      if (row % 2 === 0) out += `<rect class="stripe" x="0" y="${laneY(row) - LANE / 2}" width="${NAMES}" height="${LANE}"></rect>`;
      out += `<text class="name" x="12" y="${laneY(row) + 4}" data-actor="${rows[row]}">${esc(text)}<tspan class="pid">${pid ? "  " + esc(pid.replace(/^0x0+/, "#")) : ""}</tspan></text>`;
    }
    out += `<line class="edge" x1="${NAMES}" x2="${NAMES}" y1="${TOP}" y2="${h}"></line>`;
    $("names").innerHTML = out;
  }
  let mapFor = "";
  function paintMap(w, h) {
    const width = w - NAMES - 16, key = `${w}/${h}/${hidden.size}`;
    if (key !== mapFor) {
      mapFor = key;
      const bins = new Uint32Array(Math.max(1, Math.floor(width / 2))), marks = [];
      for (let i = 0; i < N; i++) {
        const at = Math.min(bins.length - 1, Math.floor((pos[i] / LENGTH) * bins.length));
        bins[at]++;
        if (what(i) === "fault" || what(i) === "failure") marks.push([at, what(i)]);
      }
      const most = Math.max(1, ...bins);
      let mapBars = `<rect class="panel" x="0" y="${h - MAP}" width="${w}" height="${MAP}"></rect><line class="edge" x1="0" x2="${w}" y1="${h - MAP}" y2="${h - MAP}"></line><text class="tick" x="12" y="${h - 12}">whole life</text>`;
      bins.forEach((many, at) => {
        const tall = many ? 2 + 20 * Math.sqrt(many / most) : 0;
        if (tall) mapBars += `<rect class="mapbar" x="${NAMES + 8 + at * 2}" y="${fix(h - 5 - tall)}" width="2" height="${fix(tall)}"></rect>`;
      });
      for (const [at, kind] of marks) mapBars += `<rect class="${kind === "fault" ? "mapmark" : "mapbad"}" x="${NAMES + 8 + at * 2}" y="${h - MAP + 4}" width="2" height="${MAP - 8}"></rect>`;
      $("mapbars").innerHTML = mapBars;
    }
    const a = Math.max(0, x0 / LENGTH) * width, b = Math.min(1, (x0 + plot().width / scale) / LENGTH) * width;
    $("map").innerHTML = `<rect class="mapview" x="${fix(NAMES + 8 + a)}" y="${h - MAP + 3}" width="${fix(Math.max(4, b - a))}" height="${MAP - 6}" rx="3"></rect>`;
  }

  // Moving --------------------------------------------------------------------------------------------------------
  function zoom(factor, at) {
    const { left, width } = plot(), x = at === undefined ? left + width / 2 : at, p = x0 + (x - left) / scale;
    scale *= factor;
    limit();
    x0 = p - (x - left) / scale;
    draw();
  }
  function fit() { scale = 0; x0 = -1; y0 = 0; draw(); }
  function goTo(i, near) {
    const { width, height } = plot(), row = rowOf[L.actor[i]];
    if (near !== false) scale = Math.max(scale, 14);
    x0 = pos[i] - width / scale / 2;
    if (row >= 0 && (row * LANE < y0 || (row + 1) * LANE > y0 + height)) y0 = row * LANE - height / 2;
    draw();
  }
  function eventAt(x, y) {
    const { left, width, top, height } = plot();
    if (x < left || y < top || y > top + height) return -1;
    const p = x0 + (x - left) / scale, reachBy = Math.max(1.5, 10 / scale);
    let best = -1, least = 1e9;
    for (let i = firstOf(p - reachBy); i < N && pos[i] <= p + reachBy; i++) {
      if (!isShown(i)) continue;
      const far = Math.abs(toX(pos[i]) - x) + 1.4 * Math.max(0, Math.abs(yOf(i) - y) - 6);
      if (far < least && Math.abs(yOf(i) - y) < LANE / 2 + 2) { least = far; best = i; }
    }
    return least < 16 ? best : -1;
  }
  let drag = null;
  svg.addEventListener("pointerdown", (e) => {
    const box = svg.getBoundingClientRect(), x = e.clientX - box.left, y = e.clientY - box.top, [, h] = size();
    drag = { x, y, x0, y0, moved: false, map: y > h - MAP };
    svg.setPointerCapture(e.pointerId);
    if (drag.map) toMap(x);
  });
  function toMap(x) {
    const { width } = plot();
    x0 = ((x - NAMES - 8) / (width - 16)) * LENGTH - width / scale / 2;
    draw();
  }
  svg.addEventListener("pointermove", (e) => {
    if (!drag) return;
    const box = svg.getBoundingClientRect(), x = e.clientX - box.left, y = e.clientY - box.top;
    if (drag.map) { toMap(x); return; }
    if (Math.abs(x - drag.x) + Math.abs(y - drag.y) > 4) { drag.moved = true; svg.classList.add("moving"); }
    if (drag.moved) { x0 = drag.x0 - (x - drag.x) / scale; y0 = drag.y0 - (y - drag.y); draw(); }
  });
  svg.addEventListener("pointerup", (e) => {
    svg.classList.remove("moving");
    const was = drag;
    drag = null;
    if (!was || was.moved || was.map) return;
    const name = was.x < NAMES && rows[Math.floor((was.y - TOP + y0) / LANE)];
    if (was.x < NAMES) { if (name !== undefined && ends[name]) choose(ends[name][0], true); return; }
    choose(eventAt(was.x, was.y), false);
  });
  svg.addEventListener("wheel", (e) => {
    e.preventDefault();
    const box = svg.getBoundingClientRect(), x = e.clientX - box.left;
    if (e.shiftKey || x < NAMES) { y0 += e.deltaY || e.deltaX; draw(); }
    else if (Math.abs(e.deltaX) > Math.abs(e.deltaY)) { x0 += e.deltaX / scale; draw(); }
    else zoom(Math.exp(-e.deltaY * 0.0016), x);
  }, { passive: false });

  // Details -------------------------------------------------------------------------------------------------------
  const brief = (i) => `${what(i)} ${about(i)}`.trim();
  function listOf(title, items) {
    if (!items.length) return "";
    const rows = items.slice(0, 40).map(([i, word]) => `<li><button data-go="${i}"><b>#${L.first + i}</b> ${esc(word)} · ${esc(actor(i))} · ${esc(brief(i))}</button></li>`);
    return `<h3>${title}</h3><ul>${rows.join("")}</ul>`;
  }
  function choose(i, go) {
    chosen = i;
    details.hidden = i < 0;
    if (i >= 0) {
      const from = (causes.get(i) || []).map(([j, k]) => [j, L.link_kinds[k]]), to = (effects.get(i) || []).map(([j, k]) => [j, L.link_kinds[k]]);
      if (before[i] >= 0 && !worldly[L.actor[i]]) from.unshift([before[i], "before"]);
      if (after[i] >= 0 && !worldly[L.actor[i]]) to.unshift([after[i], "next"]);
      const other = spanOf.get(i), took = other === undefined ? "" : `<dt>takes</dt><dd>${duration(Math.abs(L.at[other] - L.at[i]))}</dd>`;
      details.innerHTML = `<h2><span>#${L.first + i} ${esc(what(i))}</span><button data-close="1" aria-label="Close">✕</button></h2>
        <dl><dt>actor</dt><dd class="mono">${esc(actor(i))}</dd><dt>time</dt><dd>${instant(L.at[i])}</dd>
        ${about(i) ? `<dt>about</dt><dd class="mono">${esc(about(i))}</dd>` : ""}${took}</dl>
        ${data(i) ? `<h3>Data</h3><pre>${esc(data(i))}</pre>` : ""}
        <div class="row"><button data-cone="past">What led to it</button><button data-cone="future">What came of it</button></div>
        ${listOf("Causes", from)}${listOf("Effects", to)}`;
      if (go) goTo(i);
    }
    draw();
  }
  details.addEventListener("click", (e) => {
    const button = e.target.closest("button");
    if (!button) return;
    if (button.dataset.close) choose(-1, false);
    else if (button.dataset.go) choose(+button.dataset.go, true);
    else if (button.dataset.cone) showCone(chosen, button.dataset.cone === "past");
  });
  function showCone(i, past) {
    cone = i < 0 ? null : past ? reach(i, causes, before) : reach(i, effects, after);
    let many = 0;
    if (cone) for (const one of cone) many += one;
    coneWord = cone ? `${many.toLocaleString()} events ${past ? "led to" : "came of"} #${L.first + i}` : "";
    $("clear").hidden = !cone;
    $("cone").classList.toggle("on", !!cone && i === failure && past);
    chooseRows();
    if (cone) goTo(i, false); else draw();
  }

  // Search and filters --------------------------------------------------------------------------------------------
  function search() {
    const text = $("search").value.trim().toLowerCase();
    matches = []; matched = null; atMatch = -1;
    if (text) {
      const hit = L.texts.map((t) => t.toLowerCase().includes(text)), who = L.actors.map((t) => t.toLowerCase().includes(text));
      const kind = L.kinds.map((t) => t.toLowerCase() === text);
      matched = new Uint8Array(N);
      for (let i = 0; i < N; i++) if (hit[L.about[i]] || hit[L.data[i]] || who[L.actor[i]] || kind[L.what[i]]) { matched[i] = 1; matches.push(i); }
    }
    $("found").textContent = text ? `${matches.length}` : "0";
    $("prev").disabled = $("next").disabled = !matches.length;
    draw();
  }
  function step(by) {
    const shown = matches.filter(isShown);
    if (!shown.length) return;
    atMatch = (atMatch + by + shown.length) % shown.length;
    if (atMatch < 0) atMatch = 0;
    $("found").textContent = `${atMatch + 1}/${shown.length}`;
    choose(shown[atMatch], true);
  }
  L.kinds.forEach((kind, k) => {
    const chip = document.createElement("button"), dot = document.createElement("i");
    chip.className = "chip";
    chip.append(dot, kind);
    dot.style.background = `var(--${looks[k]})`;
    chip.setAttribute("aria-pressed", "true");
    chip.addEventListener("click", (e) => {
      if (e.altKey || e.shiftKey) { L.kinds.forEach((_, j) => { if (j === k) hidden.delete(j); else hidden.add(j); }); }
      else if (hidden.has(k)) hidden.delete(k); else hidden.add(k);
      [...$("kinds").children].forEach((c, j) => { c.classList.toggle("off", hidden.has(j)); c.setAttribute("aria-pressed", String(!hidden.has(j))); });
      draw();
    });
    chip.title = "Click: hide or show. Shift+click: only this";
    $("kinds").append(chip);
  });
  $("search").addEventListener("input", search);
  $("search").addEventListener("keydown", (e) => { if (e.key === "Enter") { e.preventDefault(); step(e.shiftKey ? -1 : 1); } });
  $("actors").addEventListener("input", () => { chooseRows(); draw(); });
  $("next").addEventListener("click", () => step(1));
  $("prev").addEventListener("click", () => step(-1));
  $("cone").addEventListener("click", () => (cone ? showCone(-1) : showCone(failure, true)));
  $("clear").addEventListener("click", () => showCone(-1));
  $("in").addEventListener("click", () => zoom(1.5));
  $("out").addEventListener("click", () => zoom(1 / 1.5));
  $("fit").addEventListener("click", fit);
  $("end").addEventListener("click", () => { if (N) choose(failure >= 0 ? failure : N - 1, true); });
  const root = document.documentElement, darkly = window.matchMedia("(prefers-color-scheme: dark)");
  const theme = (dark) => { root.dataset.theme = dark ? "dark" : "light"; };
  theme(location.hash.includes("dark") || (!location.hash.includes("light") && darkly.matches));
  darkly.addEventListener("change", () => theme(darkly.matches));
  $("theme").addEventListener("click", () => theme(root.dataset.theme !== "dark"));
  document.addEventListener("keydown", (e) => {
    if (e.target.tagName === "INPUT") { if (e.key === "Escape") e.target.blur(); return; }
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const move = plot().width / scale / 6;
    const keys = {
      ArrowLeft: () => { x0 -= move; draw(); }, ArrowRight: () => { x0 += move; draw(); },
      ArrowUp: () => { y0 -= LANE * 2; draw(); }, ArrowDown: () => { y0 += LANE * 2; draw(); },
      "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), f: fit, e: () => $("end").click(),
      c: () => { if (failure >= 0) $("cone").click(); }, "/": () => $("search").focus(),
      Escape: () => { if (cone) showCone(-1); else choose(-1, false); },
      "]": () => chosen >= 0 && after[chosen] >= 0 && choose(after[chosen], true),
      "[": () => chosen >= 0 && before[chosen] >= 0 && choose(before[chosen], true),
    };
    if (keys[e.key]) { e.preventDefault(); keys[e.key](); }
  });

  // Begin ---------------------------------------------------------------------------------------------------------
  const failed = L.failure;
  $("badge").textContent = failed ? "FAILED" : L.inconclusive ? "INCONCLUSIVE" : "HELD";
  $("badge").className = failed ? "bad" : L.inconclusive ? "unknown" : "good";
  $("title").textContent = L.scenario;
  $("facts").textContent = [`seed ${L.seed}`, L.strategy, `${L.steps.toLocaleString()} steps`, `${L.choices.toLocaleString()} choices`,
    `${duration(L.virtual_s * 1e9)} of virtual time`, `${L.faults.length} faults`, `trace ${L.hash.slice(0, 12)}`].join(" · ");
  if (failed) {
    $("message").hidden = false;
    $("message").textContent = `${failed.kind}: ${failed.message}`;
    if (failed.stack) { const pre = document.createElement("pre"); pre.textContent = failed.stack; $("message").append(pre); }
  }
  $("cone").disabled = failure < 0;
  chooseRows();
  search();
  new ResizeObserver(() => draw()).observe(svg);
  fit();
  if (location.hash.includes("end") && N) { scale = 14; $("end").click(); }
  if (location.hash.includes("cone") && failure >= 0) showCone(failure, true);
})();
