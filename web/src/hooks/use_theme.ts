import { useEffect, useState } from "preact/hooks";
import { siteStorage } from "../storage";

export type Theme = "auto" | "light" | "dark";

const KEY = "kipfix-theme";
const DARK = window.matchMedia("(prefers-color-scheme: dark)");

function stored(): Theme {
  const value = siteStorage.get(KEY);
  return value === "light" || value === "dark" ? value : "auto";
}

/** The colour theme: the system's, unless the user chose another one. */
export function useTheme(): { dark: boolean; toggle: () => void } {
  const [theme, setTheme] = useState<Theme>(stored);
  const [system, setSystem] = useState(DARK.matches);

  useEffect(() => {
    const onChange = () => setSystem(DARK.matches);
    DARK.addEventListener("change", onChange);
    return () => DARK.removeEventListener("change", onChange);
  }, []);

  const dark = theme === "auto" ? system : theme === "dark";
  // Set during rendering, so that effects read the new colours.
  document.documentElement.dataset.theme = dark ? "dark" : "light";

  const toggle = () => {
    const next = dark ? "light" : "dark";
    siteStorage.set(KEY, next);
    setTheme(next);
  };
  return { dark, toggle };
}
