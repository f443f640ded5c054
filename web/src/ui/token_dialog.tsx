import { useState } from "preact/hooks";
import { session } from "../api/client";
import { Dialog } from "./dialog";

/** Asks for the bearer token of the collector. */
export function TokenDialog({ onDone }: { onDone: () => void }) {
  const [text, setText] = useState("");
  const rejected = session.token !== "";
  return (
    <Dialog title="Token required">
      <form
        class="token-form"
        onSubmit={(event) => {
          event.preventDefault();
          if (text.trim() === "") return;
          onDone();
          session.token = text.trim();
        }}
      >
        <p>
          This collector requires a bearer token. The browser keeps it until the tab is closed and
          sends it to this collector only.
        </p>
        {rejected && (
          <p class="field-error" role="alert">
            The collector rejected the token.
          </p>
        )}
        <label for="token">Bearer token</label>
        <input
          id="token"
          type="password"
          autocomplete="off"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
        <button type="submit" class="primary">
          Continue
        </button>
      </form>
    </Dialog>
  );
}
