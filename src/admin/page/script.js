"use strict";
(() => {
  const live = document.getElementById("live");
  const pulse = document.getElementById("pulse");
  const shown = new Map();
  const sections = root => Array.from(root.children).filter(one => one.id);
  for (const one of sections(live)) shown.set(one.id, one.outerHTML);
  const isBusy = one => {
    const at = document.activeElement;
    return at && one.contains(at) && (at.tagName === "INPUT" || at.tagName === "BUTTON" || at.tagName === "SUMMARY");
  };
  const show = text => {
    const fresh = sections(new DOMParser().parseFromString(text, "text/html").body);
    const ids = new Set(fresh.map(one => one.id));
    for (const old of sections(live)) if (!ids.has(old.id)) { old.remove(); shown.delete(old.id); }
    let before = null;
    for (const one of fresh) {
      const old = document.getElementById(one.id);
      const html = one.outerHTML;
      if (old && (shown.get(one.id) === html || isBusy(old))) { before = old; continue; }
      shown.set(one.id, html);
      for (const open of old ? old.querySelectorAll("details[open]") : []) {
        const same = Array.from(one.querySelectorAll("details")).find(d => d.id === open.id);
        if (same) same.open = true;
      }
      const node = document.importNode(one, true);
      if (old) old.replaceWith(node);
      else if (before) before.after(node);
      else live.prepend(node);
      before = node;
    }
  };
  const look = async () => {
    if (!document.hidden) {
      try {
        const answer = await fetch("/live", { cache: "no-store", credentials: "same-origin" });
        if (answer.status === 401 || answer.status === 403) return location.reload();
        if (!answer.ok) throw new Error(answer.status);
        show(await answer.text());
        pulse.textContent = "live";
        pulse.className = "";
      } catch {
        pulse.textContent = "no answer from popbridge; trying again";
        pulse.className = "bad";
      }
    }
    setTimeout(look, 2000);
  };
  setTimeout(look, 2000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) pulse.textContent = ""; });
})();
