// The module that JupyterLab loads, through anywidget.

import { initialize, render } from "./start.js";

export default { initialize, render };
