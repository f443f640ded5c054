import { render } from "preact";
import { App } from "./app";
import { LayoutClient } from "./layout/client";
import "./styles/index.css";

// The worker starts while the first answer is on its way.
const layoutClient = new LayoutClient();
const root = document.getElementById("app");
if (root) render(<App layoutClient={layoutClient} />, root);
