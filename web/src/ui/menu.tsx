import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ChevronDown } from "./icons";

/** A button that opens a panel below it; Escape and clicks elsewhere close it. */
export function Menu(props: {
  label: ComponentChildren;
  /** Highlights the button, for a menu with chosen items. */
  active?: boolean;
  children: () => ComponentChildren;
}) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);

  useEffect(() => {
    if (!open) return;
    const onPointer = (event: PointerEvent) => {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener("pointerdown", onPointer);
    return () => document.removeEventListener("pointerdown", onPointer);
  }, [open]);

  return (
    <div
      ref={root}
      class="menu"
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !open) return;
        event.stopPropagation();
        setOpen(false);
        button.current?.focus();
      }}
    >
      <button
        ref={button}
        type="button"
        class="menu-button"
        aria-expanded={open}
        data-active={props.active ? "" : undefined}
        onClick={() => setOpen(!open)}
      >
        {props.label}
        <ChevronDown />
      </button>
      {open && <div class="menu-panel">{props.children()}</div>}
    </div>
  );
}

/** A list of check boxes with a search field when it is long. */
export function CheckList(props: {
  label: string;
  options: readonly string[];
  chosen: readonly string[];
  onChange: (chosen: string[]) => void;
}) {
  const [search, setSearch] = useState("");
  const shown = props.options.filter((option) => option.includes(search.trim()));
  const toggle = (option: string) =>
    props.onChange(
      props.chosen.includes(option)
        ? props.chosen.filter((other) => other !== option)
        : [...props.chosen, option].sort(),
    );
  return (
    <fieldset class="check-list">
      <legend class="visually-hidden">{props.label}</legend>
      {props.options.length > 8 && (
        <input
          type="search"
          placeholder="Find"
          aria-label={`Find in ${props.label}`}
          value={search}
          onInput={(event) => setSearch(event.currentTarget.value)}
        />
      )}
      <div class="check-list-items">
        {shown.map((option) => (
          <label key={option}>
            <input
              type="checkbox"
              checked={props.chosen.includes(option)}
              onChange={() => toggle(option)}
            />
            <span>{option}</span>
          </label>
        ))}
        {shown.length === 0 && <p class="muted">Nothing found</p>}
      </div>
      {props.chosen.length > 0 && (
        <button type="button" class="link" onClick={() => props.onChange([])}>
          Clear
        </button>
      )}
    </fieldset>
  );
}
