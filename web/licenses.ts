import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

/** Writes the licenses of all dependencies, those of the worker included, next to the code. */
export function licenses(): Plugin {
  return {
    name: "licenses",
    apply: "build",
    generateBundle() {
      const texts = new Map<string, string>();
      collect(".", texts);
      const source = [...texts]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([title, text]) => `${title}\n${"=".repeat(title.length)}\n\n${text.trim()}\n`)
        .join("\n\n");
      this.emitFile({ type: "asset", fileName: "assets/licenses.txt", source });
    },
  };
}

/** Adds the license of each dependency of the package in a directory, and of theirs. */
function collect(directory: string, texts: Map<string, string>): void {
  const { dependencies = {} } = readPackage(directory);
  for (const name of Object.keys(dependencies)) {
    const path = join("node_modules", name);
    const { version, license } = readPackage(path);
    const title = `${name} ${version} (${license})`;
    if (texts.has(title)) continue;
    const file = readdirSync(path).find((entry) => /^licen[cs]e/i.test(entry));
    if (!file) throw new Error(`${name} has no license file`);
    texts.set(title, readFileSync(join(path, file), "utf8"));
    collect(path, texts);
  }
}

function readPackage(directory: string): {
  version: string;
  license: string;
  dependencies?: Record<string, string>;
} {
  return JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
}
