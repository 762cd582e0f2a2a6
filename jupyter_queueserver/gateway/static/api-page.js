// The page of the HTTP interface: starts Swagger UI, and lets it send requests with the login of this browser.
"use strict";

(() => {
  const page = document.getElementById("api-page");

  const cookie = (name) => {
    const found = document.cookie.split("; ").find((each) => each.startsWith(`${name}=`));
    return found === undefined ? undefined : decodeURIComponent(found.slice(name.length + 1));
  };

  // Jupyter takes a cookie login only with its XSRF token. A token that was typed into "Authorize" may come without its scheme.
  const addCredentials = (request) => {
    const typed = (request.headers.Authorization || "").trim();
    if (typed && !/\s/.test(typed)) {
      request.headers.Authorization = `ApiKey ${typed}`;
    }
    const xsrf = cookie("_xsrf");
    if (xsrf !== undefined) {
      request.headers["X-XSRFToken"] = xsrf;
    }
  };

  // No browser sends a body with GET, but many routes take their parameters there.
  const carryBody = (request) => {
    if ((request.method || "GET").toUpperCase() !== "GET" || request.body === undefined) {
      return;
    }
    const text = typeof request.body === "string" ? request.body.trim() : "";
    if (text === "") {
      delete request.body;
    } else {
      request.method = "POST";
      request.headers["X-HTTP-Method-Override"] = "GET";
    }
  };

  // What a body begins with when it is edited: the required keys only, because many of the others exclude each other.
  const plan = { item_type: "plan", name: "count", args: [["det"]], kwargs: { num: 3 } };
  const samples = { item: plan, items: [plan], script: "print('hello')" };
  const blanks = { string: "", array: [], object: {}, boolean: false, number: 1, integer: 0 };

  const beginning = (schema) =>
    Object.fromEntries(
      (schema.required || []).map((name) => {
        const type = [((schema.properties || {})[name] || {}).type].flat()[0];
        return [name, samples[name] ?? blanks[type] ?? ""];
      }),
    );

  const addBeginnings = (response) => {
    const description = JSON.parse(response.text);
    for (const path of Object.values(description.paths)) {
      for (const operation of Object.values(path)) {
        const media = ((operation.requestBody || {}).content || {})["application/json"];
        if (media !== undefined && media.example === undefined && media.examples === undefined) {
          media.example = beginning(media.schema || {});
        }
      }
    }
    response.text = JSON.stringify(description);
  };

  window.queueServerPage = window.SwaggerUIBundle({
    domNode: page,
    url: page.dataset.openapi,
    validatorUrl: null,
    deepLinking: true,
    displayRequestDuration: true,
    docExpansion: "list",
    defaultModelsExpandDepth: -1,
    filter: true,
    showMutatedRequest: false,
    syntaxHighlight: { activated: true },
    requestInterceptor: (request) => {
      if (new URL(request.url, document.baseURI).origin === window.location.origin) {
        request.headers = request.headers || {};
        addCredentials(request);
        carryBody(request);
      }
      return request;
    },
    responseInterceptor: (response) => {
      if (response.ok && response.url === new URL(page.dataset.openapi, document.baseURI).href) {
        addBeginnings(response);
      }
      return response;
    },
  });
})();
