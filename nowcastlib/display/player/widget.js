// The module that JupyterLab loads, through anywidget.

import { initialize, render } from "./view.js";

export default { initialize, render };
