// Runs before anything is painted, so that a dark page does not flash.
"use strict";
{
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const follow = () => { root.dataset.theme = dark.matches ? "dark" : "light"; };
  follow();
  dark.addEventListener("change", () => {
    follow();
    document.dispatchEvent(new Event("themechange"));
  });
}
