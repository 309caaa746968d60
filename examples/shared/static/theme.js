// Light or dark: what the system says, until the visitor says otherwise.

/** Make `button` switch the theme; `changed` is called after every change, the system's own included. */
export function themeSwitch(button, changed) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  button.addEventListener("click", () => {
    const now = root.dataset.theme || (system.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("theme", root.dataset.theme);
    } catch {
      // Storage is closed to this page: the choice lasts until it is left.
    }
    changed();
  });
  system.addEventListener("change", changed);
}
