import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Close } from "./icons";

/** A modal dialog that is open while it is rendered. */
export function Dialog(props: {
  title: string;
  /** Absent for a dialog that cannot be dismissed. */
  onClose?: () => void;
  wide?: boolean;
  children: ComponentChildren;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog
      ref={dialog}
      class={props.wide ? "dialog wide" : "dialog"}
      aria-labelledby="dialog-title"
      onCancel={(event) => {
        event.preventDefault();
        props.onClose?.();
      }}
      onClick={(event) => {
        // Only the backdrop has the dialog itself as its target.
        if (event.target === dialog.current) props.onClose?.();
      }}
    >
      <div class="dialog-content">
        <header>
          <h2 id="dialog-title">{props.title}</h2>
          {props.onClose && (
            <button type="button" class="icon-button" onClick={props.onClose}>
              <Close />
              <span class="visually-hidden">Close</span>
            </button>
          )}
        </header>
        {props.children}
      </div>
    </dialog>
  );
}
