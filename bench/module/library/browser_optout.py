"""An Ansible module as one would write it first: it starts a browser of its own for each account."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    module = AnsibleModule(argument_spec={"order": {"type": "dict", "required": True}})
    from playwright.sync_api import sync_playwright

    order = module.params["order"]
    rules = ", ".join([*(f"MAP {host} {to}" for host, to in order["resolve"].items()), "MAP * ~NOTFOUND"])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=order["executable"],
            args=[f"--host-resolver-rules={rules}", f"--ignore-certificate-errors-spki-list={order['spki']}"],
        )
        page = browser.new_context(storage_state=order["state"]).new_page()
        page.goto(order["page"])
        switch = page.locator(order["css"])
        if switch.is_checked():
            with page.expect_response(lambda response: response.request.method == "PUT"):
                switch.click()
        page.reload()
        is_out = not switch.is_checked()
        browser.close()
    module.exit_json(changed=True) if is_out else module.fail_json(msg="still in")


main()
