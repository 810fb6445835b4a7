/* What the page does in the browser: it saves conversations, reports clicks to the server, and shows the quote
   of a citation. It talks only to this machine, and only through Gradio. */
window.rag = (() => {
  "use strict";
  const PREFIX = "rag.conversation.";
  const OPEN = "rag.open"; // the conversation that is open in this tab
  const ASKING = "rag.asking"; // the question of this tab that has no answer yet
  const versions = {}; // when this tab last saved or opened each conversation
  let opener = null;
  let tipped = null; // the link whose tip is shown, and its position then

  /* If storage is full or forbidden, nothing is remembered; the page still works. */
  function remember(key, value) {
    try {
      sessionStorage.setItem(key, value);
    } catch {
      return;
    }
  }

  function saved() {
    const all = [];
    for (let i = 0; i < localStorage.length; i++) {
      const key = localStorage.key(i);
      if (!key.startsWith(PREFIX)) continue;
      try {
        const { title, changed } = JSON.parse(localStorage.getItem(key));
        all.push([String(title), key.slice(PREFIX.length), Number(changed)]);
      } catch {
        all.push(["(damaged)", key.slice(PREFIX.length), 0]);
      }
    }
    return all.sort((a, b) => b[2] - a[2]).map(([title, id]) => [title, id]);
  }

  /* What is saved under this id: {title, changed, record}; null if nothing is, or if it is damaged. */
  function stored(id) {
    try {
      return JSON.parse(localStorage.getItem(PREFIX + id));
    } catch {
      return null;
    }
  }

  /* Saves the record, if there is one; returns all titles, newest first, as JSON. If another tab has saved the
     same conversation since, this one is saved as a copy, under the id `moved`. */
  function save(record) {
    let full = false;
    let moved = "";
    if (record) {
      const conversation = JSON.parse(record);
      sessionStorage.removeItem(ASKING);
      if (stored(conversation.id) && stored(conversation.id).changed !== versions[conversation.id]) {
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
    return JSON.stringify({ titles: saved(), open: sessionStorage.getItem(OPEN) || "", full, moved });
  }

  /* The record of a conversation, "" if there is none; a damaged one as it is, for the server to report. */
  function load(id) {
    remember(OPEN, id || "");
    const text = localStorage.getItem(PREFIX + id);
    if (text === null) return "";
    const conversation = stored(id);
    versions[id] = conversation?.changed;
    return typeof conversation?.record === "string" ? conversation.record : text;
  }

  /* Remembers the question that is being asked until its answer is saved. */
  function asked(given) {
    if (given[0]?.trim()) remember(ASKING, given[0]);
    return given;
  }

  /* The question that had no answer yet when the page was closed or reloaded. */
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

  /* Deletes a conversation if the user confirms; returns all titles. */
  function remove(id) {
    const title = (saved().find((one) => one[1] === id) || [""])[0];
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

  /* Scrolls to the quote in the opened document, once it is there. */
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

  /* Returns from the document to what opened it, or to the question if that is gone. */
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

  /* A tip disappears when its link moves. */
  function scrolled() {
    if (!tipped) return;
    const { left, top } = tipped.link.getBoundingClientRect();
    if (left !== tipped.place.left || top !== tipped.place.top) tip(null);
  }

  /* Reports clicks in the conversation to the server, through `trigger`. */
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

  /* Reports clicks in the list of documents to the server. */
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
