/* What the page does in the browser: keeps conversations there, tells the server what was clicked,
   shows what a citation cites. Only this machine is asked, and only through Gradio. */
window.rag = (() => {
  "use strict";
  const PREFIX = "rag.conversation.";
  const OPEN = "rag.open"; // of this tab
  const ASKING = "rag.asking"; // a question that has no answer yet, of this tab
  const versions = {}; // when this tab last kept or opened each conversation
  let opener = null;
  let tipped = null; // the link whose tip is shown, and where it stood then

  /* Without room, or where the browser forbids it, nothing is remembered; the page works all the same. */
  function remember(key, value) {
    try {
      sessionStorage.setItem(key, value);
    } catch {
      return;
    }
  }

  function kept() {
    const found = [];
    for (let i = 0; i < localStorage.length; i++) {
      const key = localStorage.key(i);
      if (!key.startsWith(PREFIX)) continue;
      try {
        const { title, changed } = JSON.parse(localStorage.getItem(key));
        found.push([String(title), key.slice(PREFIX.length), Number(changed)]);
      } catch {
        found.push(["(damaged)", key.slice(PREFIX.length), 0]);
      }
    }
    return found.sort((a, b) => b[2] - a[2]).map(([title, id]) => [title, id]);
  }

  /* What is kept under this id: {title, changed, record}, null if there is nothing, or nothing whole. */
  function found(id) {
    try {
      return JSON.parse(localStorage.getItem(PREFIX + id));
    } catch {
      return null;
    }
  }

  /* Keeps a record if there is one; all titles, newest first, as JSON. A conversation that another tab has
     kept since is left as it is, and this one kept beside it, under the id `moved`. */
  function save(record) {
    let full = false;
    let moved = "";
    if (record) {
      const conversation = JSON.parse(record);
      sessionStorage.removeItem(ASKING);
      if (found(conversation.id) && found(conversation.id).changed !== versions[conversation.id]) {
        moved = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
          byte.toString(16).padStart(2, "0")).join("");
        conversation.id = moved;
      }
      const { id, title } = conversation;
      const changed = Date.now();
      remember(OPEN, id);
      try {
        const text = JSON.stringify(conversation);
        localStorage.setItem(PREFIX + id, JSON.stringify({ title, changed, record: text }));
        versions[id] = changed;
      } catch {
        full = true;
      }
    }
    return JSON.stringify({ titles: kept(), open: sessionStorage.getItem(OPEN) || "", full, moved });
  }

  /* The record of a conversation, "" if there is none; what can't be read is given as it is, to be told of. */
  function load(id) {
    remember(OPEN, id || "");
    const text = localStorage.getItem(PREFIX + id);
    if (text === null) return "";
    const conversation = found(id);
    versions[id] = conversation?.changed;
    return typeof conversation?.record === "string" ? conversation.record : text;
  }

  /* Remembers the question that is being asked, until its answer is kept. */
  function asked(given) {
    if (given[0]?.trim()) remember(ASKING, given[0]);
    return given;
  }

  /* The question that was asked when the page was closed or loaded anew; it is not lost. */
  function unanswered() {
    const question = sessionStorage.getItem(ASKING) || "";
    sessionStorage.removeItem(ASKING);
    return question;
  }

  const focus = () => document.querySelector("#question textarea").focus();

  const reload = () => load(sessionStorage.getItem(OPEN));

  function close() {
    sessionStorage.removeItem(OPEN);
  }

  /* Removes a conversation if the user says so; all titles then. */
  function remove(id) {
    const title = (kept().find((one) => one[1] === id) || [""])[0];
    if (id && confirm(`Delete the conversation “${title}”?`)) {
      localStorage.removeItem(PREFIX + id);
      if (sessionStorage.getItem(OPEN) === id) close();
      delete versions[id];
    }
    return save("");
  }

  function download(file) {
    if (!file) return;
    const { name, type, text } = JSON.parse(file);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  async function copy(button) {
    const answer = button.closest(".answer").cloneNode(true);
    answer.querySelectorAll(".tip, .actions").forEach((one) => one.remove());
    answer.querySelectorAll("br").forEach((one) => one.replaceWith("\n"));
    const lines = [...answer.querySelectorAll("p, li")].map((line) => line.textContent.trim());
    const text = lines.filter(Boolean).join("\n");
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.body.appendChild(document.createElement("textarea"));
      area.value = text;
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    const name = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = name), 2000);
  }

  /* Brings the quote in the reader on the screen, once it is there. */
  function show(tries = 60) {
    const pane = document.querySelector("#source");
    if (!pane || !pane.offsetParent) {
      if (tries) requestAnimationFrame(() => show(tries - 1));
      return;
    }
    const target = pane.querySelector("#quote") || pane.querySelector(".text");
    if (!target) return;
    const text = target.closest(".text");
    text.scrollTop = target === text ? 0 : target.offsetTop - text.clientHeight / 3;
    target.scrollIntoView({ block: "nearest" });
    target.focus({ preventScroll: true });
  }

  /* From the reader to what opened it, or, where that is gone, to the question. */
  function back() {
    const target = opener?.isConnected ? opener : document.querySelector("#question textarea");
    target.focus({ preventScroll: true });
    target.scrollIntoView({ block: "center" });
  }

  function tip(link) {
    document.getElementById("tip")?.remove();
    document.querySelectorAll("[aria-describedby=tip]").forEach((one) => one.removeAttribute("aria-describedby"));
    tipped = null;
    const words = link && link.querySelector(".tip");
    if (!words) return;
    const shown = document.body.appendChild(document.createElement("div"));
    shown.id = "tip";
    shown.setAttribute("role", "tooltip");
    shown.append(...words.cloneNode(true).childNodes);
    link.setAttribute("aria-describedby", "tip");
    const place = link.getBoundingClientRect();
    tipped = { link, place };
    const width = Math.min(420, innerWidth - 24);
    shown.style.width = `${width}px`;
    shown.style.left = `${Math.max(12, Math.min(place.left, innerWidth - width - 12))}px`;
    const above = place.top - shown.offsetHeight - 8;
    shown.style.top = `${above > 8 ? above : place.bottom + 8}px`;
  }

  /* A tip goes when its link moves. */
  function scrolled() {
    if (!tipped) return;
    const { left, top } = tipped.link.getBoundingClientRect();
    if (left !== tipped.place.left || top !== tipped.place.top) tip(null);
  }

  /* Tells the server, by `trigger`, of what is clicked in the conversation. */
  function connect(trigger) {
    const CITES = "#chat a[href^='#cite-'], #chat a[href^='#passage-']";
    document.addEventListener("click", (event) => {
      const link = event.target.closest(CITES);
      if (link) {
        event.preventDefault();
        opener = link;
        tip(null);
        const [what, turn, number] = link.getAttribute("href").slice(1).split("-");
        trigger("select", { what, turn: Number(turn), number: Number(number) });
        return;
      }
      if (event.target.closest("#source .back")) return back();
      const button = event.target.closest("#chat button[value]");
      if (!button) return;
      const [what, number] = button.value.split("-");
      const turn = Number(number);
      if (what === "copy") copy(button);
      if (what === "inside") trigger("click", { turn });
      if (what === "edit") trigger("edit", { turn });
      if (what === "again") trigger("retry", { turn });
      if (what === "up" || what === "down") trigger("like", { turn, rating: what });
    });
    for (const [begin, end] of [["mouseover", "mouseout"], ["focusin", "focusout"]]) {
      document.addEventListener(begin, (event) => {
        const link = event.target.closest?.("#chat a.label");
        if (link) tip(link);
      });
      document.addEventListener(end, (event) => {
        if (event.target.closest?.("#chat a.label")) tip(null);
      });
    }
    document.addEventListener("scroll", scrolled, true);
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      tip(null);
      if (event.target.closest?.("#source")) back();
    });
  }

  /* Tells the server of what is clicked in the list of documents. */
  function documents(element, trigger) {
    element.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      opener = button;
      const { open, remove: removed } = button.dataset;
      if (open !== undefined) trigger("select", { source: open });
      if (removed !== undefined && confirm(`Delete the file “${removed}” from the documents folder?`)) {
        trigger("delete", { source: removed });
      }
    });
  }

  return { asked, close, connect, documents, download, focus, load, reload, remove, save, show, unanswered };
})();
