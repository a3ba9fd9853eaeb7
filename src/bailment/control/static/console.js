// Passkeys, which no page can ask for without a script. Nothing else needs one.
"use strict";

const bytes = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

async function post(path, value) {
  const answered = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(value),
    redirect: "error",
  });
  const told = await answered.json();
  if (!answered.ok) throw new Error(told.detail || told.title || "it was refused");
  return told;
}

async function show(options) {
  const made = await navigator.credentials.get({
    publicKey: {
      ...options,
      challenge: bytes(options.challenge),
      allowCredentials: options.allowCredentials.map((one) => ({ ...one, id: bytes(one.id) })),
    },
  });
  return {
    id: made.id,
    response: {
      clientDataJSON: text(made.response.clientDataJSON),
      authenticatorData: text(made.response.authenticatorData),
      signature: text(made.response.signature),
    },
  };
}

async function make(options) {
  const made = await navigator.credentials.create({
    publicKey: {
      ...options,
      challenge: bytes(options.challenge),
      user: { ...options.user, id: bytes(options.user.id) },
    },
  });
  return {
    id: made.id,
    rawId: text(made.rawId),
    type: made.type,
    response: {
      clientDataJSON: text(made.response.clientDataJSON),
      attestationObject: text(made.response.attestationObject),
    },
  };
}

function on(id, act) {
  const button = document.getElementById(id);
  if (!button) return;
  const problem = document.getElementById("problem");
  button.addEventListener("click", async () => {
    button.disabled = true;
    problem.hidden = true;
    try {
      const told = await act(button);
      if (told.next) location.assign(told.next);
    } catch (error) {
      problem.textContent = error.name === "NotAllowedError"
        ? "The passkey was not used: try again." : error.message;
      problem.hidden = false;
      button.disabled = false;
    }
  });
}

on("sign-in", async (button) => {
  const credential = await show(await post("/console/sign-in/options", {}));
  return post("/console/sign-in", { credential, next: button.dataset.next });
});

on("register", async () => {
  const code = location.hash.slice(1);
  const credential = await make(await post("/console/register/options", { code }));
  const told = await post("/console/register", { code, credential });
  history.replaceState(null, "", location.pathname);
  if (told.waiting) {
    document.getElementById("proposal").textContent = told.waiting.slice(0, 8);
    document.getElementById("waiting").hidden = false;
  }
  return told;
});

on("sign", async (button) => {
  const act = `/console/acts/${button.dataset.act}`;
  const credential = await show(await post(`${act}/challenge`, {}));
  return post(`${act}/sign`, { credential });
});
