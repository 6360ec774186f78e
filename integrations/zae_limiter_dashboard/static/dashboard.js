// Buckets fill while one looks: the part of the page that shows them is read again, as long as it is seen.
"use strict";
for (const place of document.querySelectorAll("[data-live]")) {
  const card = place.closest("section");
  const told = (isLive) => {
    card.querySelector(".live").hidden = !isLive;
    card.querySelector(".notice").hidden = isLive;
  };
  const refresh = async () => {
    if (document.hidden) return;
    const answer = await fetch(place.dataset.live).catch(() => null);
    if (!answer || !answer.ok) return told(false);
    const html = await answer.text();
    const focused = place.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    place.innerHTML = html;
    if (focused !== null) place.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    told(true);
  };
  const again = async () => {
    await refresh().catch(() => told(false));
    setTimeout(again, Number(place.dataset.seconds) * 1000);
  };
  setTimeout(again, 500);
}
