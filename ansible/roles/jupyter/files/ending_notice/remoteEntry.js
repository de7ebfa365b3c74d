// Says in an open page of JupyterLab that the cluster is about to stop. Nothing builds this file: by hand it has the
// form that JupyterLab expects of an extension. It lies in no folder `static`, which browsers would keep for a year.
(() => {
  "use strict";

  const NAME = "ending-notice";
  const PAUSE_MS = 20_000;
  // A tunnel that is gone may never answer.
  const PATIENCE_MS = 10_000;
  // Each refusal is two lines in the server's log.
  const REFUSED_PAUSE_MS = 300_000;
  // JupyterLab cuts off what is longer.
  const LONGEST = 140;

  // A sentence in as few parts as can be shown whole, each up to a colon if there is one, else up to a space.
  function parts(sentence) {
    if (sentence.length <= LONGEST) return [sentence];
    const start = sentence.slice(0, LONGEST);
    const cut = start.lastIndexOf(": ") + 1 || start.lastIndexOf(" ") + 1 || LONGEST;
    return [sentence.slice(0, cut).trim(), ...parts(sentence.slice(cut).trim())];
  }

  // The one sentence that is shown, until dismissed or until there is another, or none.
  class Notice {
    constructor(commands) {
      this.commands = commands;
      this.sentence = null;
      this.ids = [];
    }

    async show(sentence) {
      if (sentence === this.sentence) return;
      for (const id of this.ids.splice(0)) await this.commands.execute("apputils:dismiss-notification", { id });
      // The newest is on top, so the first part comes last.
      for (const message of sentence ? parts(sentence.trim()).reverse() : []) {
        const shown = { message, type: "warning", options: { autoClose: false } };
        this.ids.push(await this.commands.execute("apputils:notify", shown));
      }
      this.sentence = sentence;
    }
  }

  // Asks as the page itself asks its server.
  function ask({ fetch, init, token, baseUrl }) {
    const headers = token ? { Authorization: `token ${token}` } : {};
    const signal = AbortSignal.timeout(PATIENCE_MS);
    return fetch(new URL("orchard/ending", baseUrl), { ...init, headers, signal });
  }

  // Looks once, and returns how long to wait before the next time.
  async function look(settings, notice) {
    const answer = await ask(settings);
    if (!answer.ok) return REFUSED_PAUSE_MS;
    const { warning } = await answer.json();
    await notice.show(typeof warning === "string" ? warning : null);
    return PAUSE_MS;
  }

  // Looks again and again while somebody sees the page, and at once when somebody comes back to it.
  function watch(settings, notice) {
    let timer;
    let busy = false;
    async function turn() {
      if (busy || document.hidden) return;
      busy = true;
      clearTimeout(timer);
      // What was last heard stands while nobody answers.
      const pause = await look(settings, notice).catch(() => PAUSE_MS);
      busy = false;
      timer = setTimeout(turn, pause);
    }
    document.addEventListener("visibilitychange", turn);
    return turn();
  }

  const plugin = {
    id: `${NAME}:plugin`,
    description: "Says that the cluster is about to stop.",
    autoStart: true,
    // By then the commands for notifications are there.
    activate: (app) => void app.restored.then(() => watch(app.serviceManager.serverSettings, new Notice(app.commands))),
  };

  window._JUPYTERLAB ??= {};
  window._JUPYTERLAB[NAME] = { init: () => {}, get: async () => () => ({ ...plugin }) };
})();
