// Draws the local Slack. The server is the truth: it pushes what this person sees, and here that becomes elements.

const $ = (id) => document.getElementById(id);
const here = { who: "", place: "", thread: "" };
const read = remembered("read", {}); // the newest message that each person has read, by place
const typed = remembered("typed", []); // what was sent, newest last
let seen = null; // what this person's client shows
let cloud = null;
let stream = null;
let back = 0; // how far arrow up has gone back in `typed`

function remembered(name, otherwise) {
  try { return JSON.parse(localStorage.getItem(name)) ?? otherwise; } catch { return otherwise; }
}

function remember(name, value) {
  try { localStorage.setItem(name, JSON.stringify(value)); } catch { /* a private window may forbid it */ }
}

// --- elements ---------------------------------------------------------------------------------------------------

/** Make an element. Strings become text: nothing that the bot or a person wrote is ever read as HTML. */
function el(tag, given = {}, ...children) {
  const made = tag.startsWith("svg:")
    ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value == null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child != null && child !== false && child !== ""));
  return made;
}

/** Make the children of `list` show `items`: each keeps its element, which is drawn anew only when it changed. */
function keep(list, items, { key, make, draw }) {
  const old = new Map([...list.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, at) => {
    const name = key(item), said = JSON.stringify(item);
    const node = old.get(name) ?? make(item);
    if (node.said !== said) redraw(node, () => draw(node, item));
    node.said = said;
    node.dataset.key = name;
    old.delete(name);
    if (list.children[at] !== node) list.insertBefore(node, list.children[at] ?? null);
  });
  old.forEach((node) => node.remove());
}

/** Draw, and leave the focus where it was as far as that is still there. */
function redraw(node, draw) {
  const held = node.contains(document.activeElement) ? document.activeElement.dataset.name ?? "" : null;
  draw();
  if (held === null || node.contains(document.activeElement)) return;
  const again = held && node.querySelector(`[data-name="${CSS.escape(held)}"]`);
  (again || node.closest("[tabindex]") || $("text")).focus();
}

const clock = (seconds) =>
  new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
const nameOf = (id) => seen.names[id] ?? id;
const some = (count, word) => `${count.toLocaleString()} ${word}${count === 1 ? "" : "s"}`;

// --- Slack's text ------------------------------------------------------------------------------------------------

const TOKEN = new RegExp([
  /<([^<>\n]+)>/, /```([^]+?)```/, /`([^`\n]+)`/,
  /(?<![\w*])\*(\S|\S[^*\n]*\S)\*(?![\w*])/, /(?<![\w_])_(\S|\S[^_\n]*\S)_(?![\w_])/, /(?<![\w~])~(\S|\S[^~\n]*\S)~(?![\w~])/,
].map((part) => part.source).join("|"), "g");

const plain = (text) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

/** Turn mrkdwn into nodes. */
function mrkdwn(text) {
  const nodes = [];
  let at = 0;
  for (const found of text.matchAll(TOKEN)) {
    const [whole, link, pre, code, bold, italic, struck] = found;
    nodes.push(plain(text.slice(at, found.index)));
    if (link) nodes.push(linked(link));
    else if (pre) nodes.push(el("pre", {}, plain(pre)));
    else if (code) nodes.push(el("code", {}, plain(code)));
    else nodes.push(el(bold ? "b" : italic ? "i" : "s", {}, mrkdwn(bold ?? italic ?? struck)));
    at = found.index + whole.length;
  }
  return [...nodes, plain(text.slice(at))];
}

function linked(inside) {
  const [head, label] = inside.split("|");
  if (head.startsWith("!date^")) return dated(head.split("^"), label);
  if (head.startsWith("!subteam^")) return mention(`@${nameOf(head.slice(9))}`);
  if (/^[@#]/.test(head)) return mention(head[0] + nameOf(head.slice(1)), head.slice(1) === here.who);
  if (head.startsWith("!")) return mention(`@${head.slice(1)}`, true);
  return anchor(head, label);
}

const mention = (name, me) => el("span", { class: me ? "mention me" : "mention" }, name);

function anchor(address, label) {
  const url = URL.canParse(plain(address)) ? new URL(plain(address)) : null;
  if (!url || !/^https?:$/.test(url.protocol)) return plain(label ?? address);
  const message = url.origin === location.origin && url.pathname.match(/^\/archives\/(\w+)\/p(\d+)(\d{6})$/);
  if (message) return el("a", { href: `#${here.who}/${message[1]}/${message[2]}.${message[3]}` }, plain(label ?? address));
  return el("a", { href: url.href, target: "_blank", rel: "noreferrer" }, plain(label ?? address));
}

function dated([, seconds, format], fallback) {
  const at = new Date(seconds * 1000);
  const shown = (format ?? "").replace(/\{(\w+)\}/g, (token, name) =>
    name.startsWith("time") ? clock(seconds) : name.startsWith("date")
      ? at.toLocaleDateString([], { year: "numeric", month: "short", day: "numeric" }) : token);
  return isNaN(at) ? plain(fallback ?? "") : el("time", { datetime: at.toISOString(), title: at.toLocaleString() }, shown);
}

const text = (part) => (part.type === "mrkdwn" ? mrkdwn(part.text) : part.text);

// --- Block Kit ---------------------------------------------------------------------------------------------------

/** Draw blocks; `press(element, value)` is called when somebody uses one, `given` is what was entered and found wrong. */
const blocks = (all, press, given) => all.map((block) => (BLOCKS[block.type] ?? unknown)(block, press, given));
const unknown = (block) => el("p", { class: "context" }, `(${block.type})`);

const BLOCKS = {
  header: (block) => el("h3", {}, block.text.text),
  divider: () => el("hr"),
  section: (block, press, given) => el("div", { class: "section" },
    el("div", {}, block.text && el("p", {}, text(block.text)),
      block.fields && el("div", { class: "fields" }, block.fields.map((field) => el("p", {}, text(field))))),
    block.accessory && control(block.accessory, press, given)),
  context: (block) => el("div", { class: "context" },
    block.elements.map((part) => el("p", {}, part.type === "image" ? `(${part.alt_text})` : text(part)))),
  actions: (block, press, given) => el("div", { class: "actions" }, block.elements.map((element) => control(element, press, given))),
  image: (block) => el("p", { class: "context" }, `(${block.alt_text})`),
  markdown: (block) => el("p", {}, block.text),
  alert: (block) => el("p", { class: `alert ${block.level ?? "default"}` }, text(block.text)),
  rich_text: (block) => el("div", {}, block.elements.map(rich)),
  table: (block) => el("div", { class: "table", tabindex: 0, role: "region", "aria-label": "Table" }, el("table", {},
    block.rows.map((row, at) => el("tr", {}, row.map((cell) => el(at ? "td" : "th", {}, cell.text ?? cell.elements.map(rich))))))),
  input: field,
};

function rich(part) {
  const inside = () => part.elements.map(rich);
  switch (part.type) {
    case "rich_text_section": return el("p", {}, inside());
    case "rich_text_preformatted": return el("pre", {}, inside());
    case "rich_text_quote": return el("blockquote", {}, inside());
    case "rich_text_list": return el(part.style === "ordered" ? "ol" : "ul", {}, part.elements.map((item) => el("li", {}, rich(item))));
    case "user": return mention(`@${nameOf(part.user_id)}`, part.user_id === here.who);
    case "usergroup": return mention(`@${nameOf(part.usergroup_id)}`);
    case "channel": return mention(`#${nameOf(part.channel_id)}`);
    case "broadcast": return mention(`@${part.range}`, true);
    case "link": return anchor(part.url, part.text);
    case "emoji": return `:${part.name}:`;
    case "date": return dated(["", part.timestamp, part.format], part.fallback);
    default: return ["bold", "italic", "strike", "code"].filter((style) => part.style?.[style]).reduce(
      (inner, style) => el({ bold: "b", italic: "i", strike: "s", code: "code" }[style], {}, inner), part.text ?? "");
  }
}

/** An element that acts at once: a button, or a choice. */
function control(element, press, { typed: values = {} } = {}) {
  if (element.type === "image") return el("span", {}, `(${element.alt_text})`);
  if (element.type !== "button") return chooser(element, (value) => press(element, value), {}, values[element.action_id]);
  const label = element.accessibility_label ?? element.text.text;
  return el("button", {
    type: "button", class: element.style, "data-name": element.action_id, "aria-label": label,
    onclick: (event) => busy(event.currentTarget, () => press(element)),
  }, element.text.text);
}

const optionsOf = (element) => {
  const people = seen.people.map((one) => [one.id, `@${one.name}`]);
  const places = seen.places.filter((one) => !one.im).map((one) => [one.id, `#${one.name}`]);
  if (element.type === "users_select") return people;
  if (/^(channels|conversations)_select$/.test(element.type)) return places;
  return [element, ...(element.option_groups ?? [])].flatMap((group) => group.options ?? [])
    .map((option) => [option.value, text(option.text), option.description && text(option.description)]);
};
const initial = (element) => element.initial_options?.map((option) => option.value) ?? element.initial_option?.value
  ?? element.initial_user ?? element.initial_channel ?? element.initial_conversation ?? element.initial_value;

/** A choice from a list: a select, radio buttons or checkboxes. `named` is how a field around it names it. */
function chooser(element, chosen, named = {}, value = initial(element)) {
  const picked = [value].flat();
  const options = optionsOf(element);
  const name = { "data-name": element.action_id, "aria-label": named.id ? null : element.placeholder?.text ?? "Choose", ...named };
  if (/^(radio_buttons|checkboxes)$/.test(element.type)) {
    const many = element.type === "checkboxes";
    const box = el("div", { ...name, class: "boxes", role: many ? "group" : "radiogroup" }, options.map(([key, label, more]) => el("label", {},
      el("input", { type: many ? "checkbox" : "radio", name: element.action_id, value: key, checked: picked.includes(key) }),
      el("span", {}, label, more && el("small", {}, more)))));
    const now = () => [...box.querySelectorAll(":checked")].map((input) => input.value);
    box.valueNow = () => (many ? now() : now()[0]);
    box.addEventListener("change", () => chosen(box.valueNow()));
    return box;
  }
  const many = element.type.startsWith("multi_");
  const box = el("select", { ...name, multiple: many }, many ? [] : el("option", { value: "" }, element.placeholder?.text ?? "Choose…"),
    options.map(([key, label]) => el("option", { value: key, selected: picked.includes(key) }, label)));
  box.valueNow = () => (many ? [...box.selectedOptions].map((option) => option.value) : box.value || undefined);
  box.addEventListener("change", () => box.value && chosen(box.valueNow()));
  return box;
}

/** An input block: its label, what one fills in, a hint, and what the bot found wrong with it. */
function field(block, press, { typed: values = {}, errors = {} } = {}) {
  const { element } = block, id = `field-${block.block_id}`, wrong = errors[block.block_id];
  const value = values[element.action_id] ?? initial(element);
  const about = [block.hint && `${id}-hint`, wrong && `${id}-wrong`].filter(Boolean).join(" ");
  const given = { id, "data-name": element.action_id, "aria-invalid": wrong && "true", "aria-describedby": about || null };
  const grouped = /^(radio_buttons|checkboxes)$/.test(element.type);
  let box;
  if (element.type === "file_input") {
    const kinds = element.filetypes?.map((kind) => `.${kind}`).join(",");
    box = el("input", { ...given, type: "file", multiple: (element.max_files ?? 10) > 1, accept: kinds, required: !block.optional });
    if (value instanceof FileList) box.files = value;
    box.valueNow = () => Promise.all([...box.files].map(uploaded));
  } else if (/_input$/.test(element.type)) {
    // No maxlength: a browser would cut a list that is pasted without a word. The local Slack says that it is too long.
    const more = { placeholder: element.placeholder?.text, required: !block.optional, autofocus: element.focus_on_load };
    box = element.multiline ? el("textarea", { ...given, ...more, rows: 4 })
      : el("input", { ...given, ...more, type: element.type === "number_input" ? "number" : "text" });
    box.value = value ?? "";
    box.valueNow = () => box.value;
  } else {
    const named = grouped ? { ...given, "aria-labelledby": `${id}-label` } : { ...given, required: !block.optional };
    box = chooser(element, () => block.dispatch_action && press(element, box.valueNow()), named, value);
  }
  const label = [block.label.text, block.optional && el("span", {}, " (optional)")];
  return el("div", { class: "field" }, grouped ? el("p", { class: "label", id: `${id}-label` }, label) : el("label", { class: "label", for: id }, label), box,
    block.hint && el("p", { class: "context", id: `${id}-hint` }, block.hint.text),
    wrong && el("p", { class: "wrong", id: `${id}-wrong`, role: "alert" }, wrong));
}

const uploads = new WeakMap(); // what came of each file that was sent, so that a corrected form does not send it again

async function uploaded(file) {
  if (!uploads.has(file)) uploads.set(file, await upload(file));
  return uploads.get(file);
}

async function upload(file) {
  const content = await new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = failed;
    reader.readAsDataURL(file);
  });
  const answer = await act({ do: "upload", name: file.name, content });
  if (!answer.file) throw new NotDone();
  return answer.file;
}

/** What is entered within `root` now, by action; files are sent on the way. */
const fields = (root) => [...root.querySelectorAll("[data-name]")].filter((box) => box.valueNow);
const collected = async (root) => Object.fromEntries(await Promise.all(fields(root).map(async (box) => [box.dataset.name, await box.valueNow()])));
const kept = (root) => Object.fromEntries(fields(root).map((box) => [box.dataset.name, box.type === "file" ? box.files : box.valueNow()]));

// --- what a person does ------------------------------------------------------------------------------------------

/** Send an act to the server; what comes of it arrives over the stream. */
async function act(what) {
  trouble("");
  const answer = await fetch("/page/act", {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ as: here.who, ...what }),
  }).then((response) => response.json()).catch(() => ({ problem: "the local Slack does not answer" }));
  if (answer.problem) trouble(`Not done: ${answer.problem}.`);
  else if (answer.failure) trouble(`The bot did not take it: ${answer.failure}.`);
  return answer;
}

/** Something could not be done, and whoever did it has been told. */
class NotDone extends Error {}

/** Say what went wrong: in the form that is open, else above the composer. */
function trouble(said) {
  const place = document.querySelector("dialog.form .trouble") ?? $("trouble");
  for (const one of [$("trouble"), place]) {
    one.textContent = one === place ? said : "";
    one.hidden = !one.textContent;
  }
}

async function busy(button, work) {
  if (button.getAttribute("aria-busy")) return;
  button.setAttribute("aria-busy", "true");
  try { await work(); } catch (error) { if (!(error instanceof NotDone)) throw error; } finally { button.removeAttribute("aria-busy"); }
}

/** Press an element of what is at `where`; `root` holds the fields that go with it. */
const presser = (where, root = () => null) => async (element, value) => {
  if (element.confirm && !(await confirmed(element.confirm))) return;
  const values = root() ? await collected(root()) : undefined;
  await act({ do: "press", action: element.action_id, value, values, ...where });
};

/** Remember where the focus is; what is returned brings it back there, or to what has taken its place meanwhile. */
function focusHere() {
  const held = document.activeElement, row = held?.closest?.("[data-key]")?.dataset.key, name = held?.dataset?.name;
  return () => {
    const again = row && name && document.querySelector(`[data-key="${CSS.escape(row)}"] [data-name="${CSS.escape(name)}"]`);
    const first = [held?.isConnected && held !== document.body && held, again, $("text"), $("messages")].find((one) => one && one.checkVisibility());
    first?.focus();
  };
}

/** Ask once more, as Slack does for buttons that carry a confirmation. */
function confirmed({ title, text: body, confirm, deny, style }) {
  return new Promise((done) => {
    const back = focusHere();
    const answer = (yes) => () => {
      if (!dialog.isConnected) return;
      dialog.close();
      dialog.remove();
      back();
      done(yes);
    };
    const dialog = el("dialog", { class: "ask", "aria-labelledby": "ask-title", "aria-describedby": "ask-text", oncancel: answer(false), onclose: answer(false) },
      el("h2", { id: "ask-title" }, title.text), el("p", { id: "ask-text" }, text(body)),
      el("div", { class: "actions end" },
        el("button", { type: "button", onclick: answer(false) }, deny.text),
        el("button", { type: "button", class: style ?? "primary", onclick: answer(true) }, confirm.text)));
    $("modals").append(dialog);
    dialog.showModal();
  });
}

function go(change) {
  const { who, place, thread } = { ...here, thread: "", ...change };
  location.hash = [who, place, thread].join("/");
}

/** Be who and where the address says. */
function arrive() {
  const [who, place = "", thread = ""] = location.hash.slice(1).split("/");
  const other = !stream || (who && who !== here.who), before = here.thread;
  Object.assign(here, { who: who || here.who, place, thread });
  document.body.dataset.show = "main";
  if (other) return connect();
  draw();
  if (thread && !before) $("replies").focus();
  if (before && !thread) document.querySelector(`[data-key="${place}-${before}"] .replies`)?.focus();
  openHome();
}

function openHome() {
  if (here.place === "home" && seen?.has_home) act({ do: "home" });
}

function connect() {
  stream?.close();
  seen = null;
  stream = new EventSource(`/page/events?as=${encodeURIComponent(here.who)}`);
  stream.addEventListener("slack", (event) => {
    const before = seen;
    seen = JSON.parse(event.data);
    const mine = [...seen.places.map((one) => one.id), ...(seen.has_home ? ["home"] : [])];
    Object.assign(here, { who: seen.as, place: mine.includes(here.place) ? here.place : mine[0] });
    draw();
    if (before) announce(before);
    else openHome();
  });
  stream.addEventListener("cloud", (event) => { cloud = JSON.parse(event.data); drawCloud(); drawTry(); });
  stream.onopen = () => trouble("");
  stream.onerror = () => trouble("The local Slack does not answer; trying again.");
}

// --- what a person sees ------------------------------------------------------------------------------------------

function draw() {
  if (!seen) return;
  markRead();
  drawSide();
  drawMain();
  drawThread();
  drawView();
  drawTry();
  drawShortcuts();
}

const newest = (messages) => messages.reduce((last, one) => (one.ts > last ? one.ts : last), "");
const isNew = (user, { channel, ts }) => ts > (read[user]?.[channel] ?? "");

function markRead() {
  if (document.visibilityState !== "visible" || here.place === "home") return;
  (read[here.who] ??= {})[here.place] = newest(seen.messages.filter((one) => one.channel === here.place));
  remember("read", read);
}

function drawSide() {
  keep($("people"), seen.people.map((one) => ({ ...one, pings: one.rings.filter((ring) => isNew(one.id, ring)).length, rings: 0 })), {
    key: (one) => one.id,
    make: (one) => el("label", { class: "person" },
      el("input", { type: "radio", name: "who", value: one.id, onchange: () => go({ who: one.id }) }), el("span", {})),
    draw: (node, one) => node.lastChild.replaceChildren(
      avatar(one.id), el("span", {}, el("b", {}, one.name), " ", el("small", {}, one.does)), badge(one.pings, "to be seen")),
  });
  document.querySelectorAll("[name=who]").forEach((radio) => { radio.checked = radio.value === here.who; });
  const bot = nameOf(seen.bot);
  const fresh = (place) => seen.messages.filter((one) => one.channel === place.id && one.user !== here.who && !one.only
    && (!one.thread || one.broadcast) && isNew(here.who, one)).length;
  const link = {
    key: (one) => one.id,
    make: () => el("li", {}, el("a")),
    draw: (node, one) => {
      node.firstChild.setAttribute("href", `#${here.who}/${one.id}`);
      node.firstChild.className = one.fresh ? "fresh" : "";
      node.firstChild.toggleAttribute("aria-current", one.on);
      if (one.on) node.firstChild.setAttribute("aria-current", "page");
      node.firstChild.replaceChildren(one.name, badge(one.fresh, "new"));
    },
  };
  const places = seen.places.map((one) => ({ ...one, fresh: fresh(one), on: here.place === one.id, who: here.who }));
  keep($("places"), places.filter((one) => !one.im).map((one) => ({ ...one, name: `# ${one.name}` })), link);
  keep($("direct"), [...places.filter((one) => one.im).map((one) => ({ ...one, name: `${bot}: messages` })),
    ...(seen.has_home ? [{ id: "home", name: `${bot}: home`, on: here.place === "home", who: here.who }] : [])], link);
}

const badge = (count, word) => count ? el("span", { class: "badge" }, String(count), el("span", { class: "unseen" }, ` ${word}`)) : "";
const avatar = (user) => el("span", { class: `avatar a${[...user].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % 6}${user === seen.bot ? " bot" : ""}`,
  "aria-hidden": "true" }, nameOf(user).slice(0, 1).toUpperCase());

function drawMain() {
  const place = seen.places.find((one) => one.id === here.place);
  const home = here.place === "home";
  const title = home ? `${nameOf(seen.bot)}: home` : place?.im ? nameOf(seen.bot) : `# ${place?.name ?? here.place}`;
  $("title").textContent = title;
  $("me").textContent = nameOf(here.who);
  document.title = `${title} · ${nameOf(here.who)} · Local Slack`;
  $("text").placeholder = `Message ${title} as ${nameOf(here.who)}`;
  $("composer").hidden = home || !place || place.im;
  $("readonly").hidden = home || !place?.im;
  $("messages").hidden = home;
  $("home").hidden = !home;
  if (home) return drawHome();
  const all = seen.messages.filter((one) => one.channel === here.place);
  drawMessages($("messages"), all.filter((one) => !one.thread || one.broadcast).map((one) => {
    const replies = all.filter((other) => other.thread === one.ts && !other.only);
    return { ...one, replies: replies.length, last: newest(replies) };
  }), `${here.who}/${here.place}`);
}

function drawHome() {
  const home = $("home"), view = seen.home, said = JSON.stringify([here.who, view?.id, view?.hash]);
  if (home.said === said) return;
  const values = { typed: home.dataset.view === view?.id ? kept(home) : {} };
  redraw(home, () => home.replaceChildren(...(view ? blocks(view.blocks, presser({ view: view.id }, () => home), values)
    : [el("p", { class: "empty" }, "The bot publishes no Home tab yet.")])));
  home.said = said;
  home.dataset.view = view?.id;
}

function drawThread() {
  const parent = here.thread && seen.messages.find((one) => one.ts === here.thread && one.channel === here.place);
  $("thread").hidden = !parent;
  document.body.classList.toggle("threaded", Boolean(parent));
  if (!parent) return;
  const replies = seen.messages.filter((one) => one.thread === parent.ts && one.channel === here.place);
  drawMessages($("replies"), [parent, ...replies].map((one) => ({ ...one, threaded: true })), here.thread);
}

function drawMessages(list, messages, where) {
  const low = list.dataset.where !== where || list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  keep(list, messages.map((one, at) => ({ ...one, follows: follows(messages[at - 1], one), me: here.who })), {
    key: (one) => `${one.channel}-${one.ts}`,
    make: () => el("li", {}),
    draw: (node, one) => { node.className = shape(one); node.replaceChildren(...message(one)); },
  });
  list.dataset.where = where;
  if (!messages.length) list.append(el("li", { class: "empty" }, "Nothing was said here yet."));
  if (low) list.scrollTop = list.scrollHeight;
}

const shape = (one) => `message${one.only ? " only" : ""}${one.follows ? " follows" : ""}`;
const follows = (before, one) => Boolean(before && before.user === one.user && !one.only && !before.only && !before.blocks.length
  && !one.blocks.length && one.ts - before.ts < 300);

/** Draw a message's inside. */
function message(one) {
  const bot = one.user === seen.bot;
  const shown = one.blocks.length ? blocks(one.blocks, presser({ channel: one.channel, ts: one.ts })) : [el("p", {}, mrkdwn(one.text))];
  return [avatar(one.user), el("div", { class: "body" },
    one.only && el("p", { class: "note" }, "Only visible to you"),
    one.broadcast && !one.threaded && el("p", { class: "note" }, "replied to a thread"),
    el("p", { class: "who" }, el("b", {}, nameOf(one.user)), bot && el("span", { class: "app" }, "APP"), el("time", {}, clock(one.ts))),
    shown, one.edited && el("small", {}, "(edited)"),
    one.files.map((file) => el("p", {}, el("a", { class: "file", href: `/page/files/${file.id}`, target: "_blank" }, file.name, ` · ${some(file.size, "byte")}`))),
    one.replies > 0 && el("button", { type: "button", class: "replies", "data-name": "replies", onclick: () => go({ thread: one.ts }) },
      one.replies === 1 ? "1 reply" : `${one.replies} replies`, el("span", {}, ` last at ${clock(one.last)}`)))];
}

/** Tell those who do not see the screen what is new: Slack reads them a message's text, not its blocks. */
function announce(before) {
  const known = new Map(before.messages.map((one) => [one.channel + one.ts, one.text]));
  const fresh = seen.messages.filter((one) => one.user !== here.who && known.get(one.channel + one.ts) !== one.text);
  const words = fresh.map((one) => `${nameOf(one.user)}: ${el("p", {}, mrkdwn(one.text)).textContent}`);
  if (words.length) $("news").textContent = words.join(" ");
}

// --- forms -------------------------------------------------------------------------------------------------------

const entered = new Map(); // what was entered in each open form, by its id: a form below another comes back as it was
let focusBack = null;

function drawView() {
  const view = seen.views.at(-1);
  let dialog = $("modals").querySelector("dialog.form");
  if (dialog) entered.set(dialog.dataset.view, kept(dialog));
  [...entered.keys()].filter((id) => !seen.views.some((one) => one.id === id)).forEach((id) => entered.delete(id));
  if (!view && !dialog) return;
  if (!view) {
    dialog.close();
    dialog.remove();
    focusBack?.();
    return;
  }
  if (!dialog) {
    focusBack = focusHere();
    dialog = el("dialog", { class: "form", "aria-labelledby": "view-title", oncancel: escaped, onclose: escaped });
    $("modals").append(dialog);
    dialog.showModal();
  }
  const said = JSON.stringify([view.id, view.hash, view.errors]);
  if (dialog.said !== said) drawForm(dialog, view);
  dialog.said = said;
}

/** Escape asks the local Slack to close the form; a browser closes it by itself at the second one. */
function escaped(event) {
  event.preventDefault();
  if (event.target === event.currentTarget && event.target.isConnected) act({ do: "close", view: event.target.dataset.view });
}

function drawForm(dialog, view) {
  const same = dialog.dataset.view === view.id, held = same ? document.activeElement?.dataset?.name : null;
  const close = (all) => () => act({ do: "close", view: view.id, all });
  const send = async (event) => {
    event.preventDefault();
    await busy(event.submitter ?? event.target, async () => act({ do: "submit", view: view.id, values: await collected(dialog) }));
  };
  const given = { typed: entered.get(view.id) ?? {}, errors: view.errors };
  dialog.dataset.view = view.id;
  dialog.replaceChildren(el("form", { onsubmit: send },
    el("header", {}, el("h2", { id: "view-title" }, view.title.text),
      el("button", { type: "button", class: "icon", "aria-label": "Close", onclick: close(true) }, "✕")),
    el("div", { class: "scroll" }, blocks(view.blocks, presser({ view: view.id }, () => dialog), given)),
    el("p", { class: "trouble", role: "alert", hidden: true }),
    el("div", { class: "actions end" }, el("button", { type: "button", onclick: close(false) }, view.close?.text ?? "Cancel"),
      view.submit && el("button", { class: "primary" }, view.submit.text))));
  const first = ["[aria-invalid]", held && `[data-name="${CSS.escape(held)}"]`, "[autofocus]", ".field [data-name]", ".end button:last-child"]
    .map((found) => found && dialog.querySelector(found)).find(Boolean);
  (first.matches(".boxes") ? first.querySelector(":checked, input") : first).focus();
}

// --- writing -----------------------------------------------------------------------------------------------------

function drawHints() {
  const words = $("text").value;
  const verb = words.startsWith(`${seen.command} `) ? words.slice(seen.command.length + 1).trimStart() : null;
  const fits = (hint) => verb === null || hint.usage.startsWith(verb) || verb.startsWith(`${hint.usage.split(" ")[0]} `) && hint.usage.includes(" ");
  const open = words.startsWith("/") && words.split(" ").length < 5 && (verb !== null || seen.command.startsWith(words));
  const hints = open ? seen.hints.filter(fits) : [];
  $("hints").hidden = !hints.length;
  $("hints").replaceChildren(...hints.map((hint) => el("li", {}, el("button", { type: "button", onclick: () => complete(hint) },
    el("code", {}, `${seen.command} ${hint.usage}`), el("span", {}, hint.does)))));
}

function complete(hint) {
  const fixed = hint.usage.split(/[<[]/)[0].trimEnd();
  write(`${seen.command} ${fixed}${fixed ? " " : ""}`);
}

function write(words) {
  const box = $("text");
  box.value = words;
  box.style.height = "";
  if (words) box.style.height = `${Math.min(box.scrollHeight, 160)}px`;
  if (seen) drawHints();
  drawTry();
  if (document.activeElement !== box && words) box.focus();
}

function insert(words) {
  document.body.dataset.show = "main";
  write($("text").value.trim() ? `${$("text").value.trimEnd()} ${words} ` : `${seen.command} job ${words} `);
}

async function send() {
  const words = $("text").value.trim();
  if (!words) return;
  typed.push(words);
  remember("typed", typed.slice(-50));
  back = 0;
  write("");
  const answer = await act({ do: "say", channel: here.place, text: words });
  if (answer.problem && !$("text").value) write(words);
}

function drawShortcuts() {
  keep($("shortcuts"), Object.entries(seen.shortcuts), {
    key: ([id]) => id,
    make: ([id, label]) => el("button", { type: "button", class: "small", onclick: () => act({ do: "shortcut", shortcut: id }) }, label),
    draw: () => {},
  });
}

/** Offer the first words to try whose job has no card yet, where and when they can be typed; then another job to try. */
function drawTry() {
  const more = cloud?.clouds.find((one) => one.another);
  const first = seen?.places[0]?.id === here.place;
  const cards = (seen?.messages ?? []).filter((one) => !one.only).map((one) => JSON.stringify(one.blocks));
  const next = cloud?.try.find((words) => !cards.some((card) => card.includes(words.match(/(?:job|strategy) (\S+)/)[1])));
  const words = next && `${seen?.command} ${next}`;
  $("try").hidden = !first || !(words || more) || Boolean($("text").value);
  $("try-lead").textContent = words ? "Try this:" : "To try it again:";
  $("try-it").replaceChildren(words ? el("code", {}, words) : "Add a small job");
  $("try-it").onclick = () => (words ? write(words) : act({ do: "cloud", cloud: more.name, another: true }));
}

$("composer").addEventListener("submit", (event) => { event.preventDefault(); send(); });
$("text").addEventListener("input", () => write($("text").value));
$("text").addEventListener("keydown", (event) => {
  const box = event.target, hint = $("hints").querySelector("button");
  if (event.isComposing) return;
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    send();
  } else if (event.key === "Escape") {
    $("hints").hidden = true;
  } else if (event.key === "Tab" && !event.shiftKey && hint && !$("hints").hidden && !/ \S+ /.test(box.value)) {
    event.preventDefault();
    hint.click();
  } else if (event.key === "ArrowUp" && (!box.value || box.value === typed.at(-back)) && back < typed.length) {
    event.preventDefault();
    write(typed.at(-(back += 1)));
  } else if (event.key === "ArrowDown" && back && box.value === typed.at(-back)) {
    event.preventDefault();
    write((back -= 1) ? typed.at(-back) : "");
  }
});

// --- the cloud ---------------------------------------------------------------------------------------------------

function drawCloud() {
  keep($("clouds"), cloud.clouds, {
    key: (one) => one.name,
    make: (one) => el("section", { "aria-labelledby": `cloud-${one.name}` },
      el("h3", { id: `cloud-${one.name}` }, one.title),
      el("h4", {}, "Jobs ", one.another && el("button", { type: "button", class: "small", onclick: () => act({ do: "cloud", cloud: one.name, another: true }) }, "Add a small one")),
      el("ul", { class: "jobs", "aria-label": "Jobs" }),
      el("h4", {}, "Calls, the last 10 s"), el("ul", { class: "calls", "aria-label": "Calls by operation" }),
      el("h4", {}, "Break it ", el("button", { type: "button", class: "small", onclick: () => act({ do: "cloud", cloud: one.name, reset: true }) }, "Reset all")),
      el("ul", { class: "dials", "aria-label": "Dials" })),
    draw: (node, one) => {
      keep(node.querySelector(".jobs"), one.jobs, { key: (job) => job.id, make: jobCard, draw: drawJob });
      const calls = node.querySelector(".calls");
      keep(calls, one.calls, { key: (call) => call.action, make: callCard, draw: drawCall });
      if (!one.calls.length) calls.replaceChildren(el("li", { class: "context" }, "None."));
      keep(node.querySelector(".dials"), one.dials, { key: (dial) => dial.name, make: (dial) => dialCard(one.name, dial), draw: drawDial });
    },
  });
}

const jobCard = (job) => el("li", {}, el("p", {}, el("b", {}, job.name), " ", el("span", { class: "note" }, job.note)),
  el("p", { class: "ids" }, el("button", { type: "button", class: "small", onclick: () => insert(job.id), "aria-label": `Write ${job.id} into the composer` }, el("code", {}, job.id)),
    el("button", { type: "button", class: "small", onclick: copy(job.id), "aria-label": `Copy ${job.id}` }, "Copy")),
  el("div", { class: "bar", role: "img" }), el("ul", { class: "legend" }));

function drawJob(node, job) {
  const [bar, legend] = [node.querySelector(".bar"), node.querySelector(".legend")];
  bar.setAttribute("aria-label", job.counts.map(([word, count]) => `${word} ${count}`).join(", ") || "no tasks");
  bar.replaceChildren(...job.counts.map(([word, count]) => {
    const part = el("span", { class: `s-${word}` });
    part.style.flexGrow = count;
    return part;
  }));
  legend.replaceChildren(...job.counts.map(([word, count]) => el("li", {}, el("i", { class: `s-${word}` }), `${word} ${count.toLocaleString()}`)));
}

const callCard = (call) => el("li", {}, el("p", {}, el("code", {}, call.action)), el("p", { class: "context" }), strip());

function drawCall(node, call) {
  const busiest = Math.max(...call.at.map(([age]) => call.at.filter(([other]) => other >= age && other < age + 1).length));
  const went = ["refused", "lost"].map((how) => [how, call.at.filter(([, one]) => one === how).length]).filter(([, count]) => count);
  node.children[1].textContent = [some(call.at.length, "call"), ...went.map(([how, count]) => `${count} ${how}`),
    `busiest second ${busiest}, allowed ${call.limit ?? "any"}`].join(" · ");
  node.lastChild.replaceChildren(...call.at.map(([age, how]) => mark(198 - age * 19.6, how)));
}

function dialCard(name, dial) {
  const turn = (more) => act({ do: "cloud", cloud: name, dial: dial.name, ...more });
  const id = `dial-${name}-${dial.name}`;
  return el("li", { class: dial.most ? "range" : "" }, dial.most
    ? [el("label", { for: id }, dial.label), el("input", { id, type: "range", min: 0, max: dial.most, step: 1, value: 0, "aria-describedby": `${id}-does`,
      onchange: (event) => turn({ seconds: Number(event.target.value) }) })]
    : el("button", { type: "button", "aria-describedby": `${id}-does`, onclick: () => turn({}) }, dial.label),
  el("p", { id: `${id}-does` }, dial.does, " ", el("b", { class: "now" })));
}

function drawDial(node, { on }) {
  node.classList.toggle("on", Boolean(on));
  node.querySelector(".now").textContent = !on ? "" : on[1] === null ? `Now ${some(on[0], "second")}.` : `${on[1]} to come.`;
  const range = node.querySelector("input");
  if (range && range !== document.activeElement) range.value = on?.[0] ?? 0;
}

const copy = (words) => async ({ currentTarget: button }) => {
  const done = await navigator.clipboard?.writeText(words).then(() => true, () => false);
  button.textContent = done ? "Copied" : "Not allowed";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
};

const strip = () => el("svg:svg", { viewBox: "0 0 200 14", "aria-hidden": "true" });

/** A call on the strip, newest on the right: a line when it was answered, a cross when refused, a ring when lost. */
function mark(x, how) {
  if (how === "lost") return el("svg:circle", { class: how, cx: x, cy: 7, r: 3.5 });
  const path = how === "refused" ? `M${x - 3} 4l6 6m0-6l-6 6` : `M${x} 2v10`;
  return el("svg:path", { class: how, d: path });
}

// --- the frame ---------------------------------------------------------------------------------------------------

document.querySelectorAll("[data-go]").forEach((button) =>
  button.addEventListener("click", () => { document.body.dataset.show = button.dataset.go; }));
$("places").addEventListener("click", () => { document.body.dataset.show = "main"; });
$("close-thread").addEventListener("click", () => go({}));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && here.thread && !document.querySelector("dialog[open]")) go({});
});
document.addEventListener("visibilitychange", draw);
window.addEventListener("hashchange", arrive);
arrive();
