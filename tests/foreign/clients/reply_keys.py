"""Which keys the reply of each function must have, besides ``success`` and ``msg``; more are no harm to a client."""

STATUS = """
msg time status_uid items_in_queue items_in_history running_item_uid manager_state queue_stop_pending queue_autostart_enabled
worker_environment_exists worker_environment_state worker_background_tasks re_state ip_kernel_state ip_kernel_captured
pause_pending run_list_uid plan_queue_uid plan_history_uid devices_existing_uid plans_existing_uid devices_allowed_uid
plans_allowed_uid plan_queue_mode task_results_uid lock_info_uid lock
"""

#: Functions whose reply has nothing else.
BARE = """
permissions_reload permissions_set history_clear environment_open environment_close environment_destroy queue_mode_set queue_clear
queue_start queue_stop queue_stop_cancel queue_autostart re_pause re_resume re_stop re_abort re_halt kernel_interrupt
"""

KEYS = {
    "ping": STATUS,
    "status": STATUS,
    "config_get": "success msg config",
    "plans_allowed": "success msg plans_allowed plans_allowed_uid",
    "devices_allowed": "success msg devices_allowed devices_allowed_uid",
    "plans_existing": "success msg plans_existing plans_existing_uid",
    "devices_existing": "success msg devices_existing devices_existing_uid",
    "permissions_get": "success msg user_group_permissions",
    "history_get": "success msg items plan_history_uid",
    "environment_update": "success msg task_uid",
    "script_upload": "success msg task_uid",
    "function_execute": "success msg item task_uid",
    "task_status": "success msg task_uid status",
    "task_result": "success msg task_uid status result",
    "queue_get": "success msg items running_item plan_queue_uid",
    "item_add": "success msg qsize item",
    "item_add_batch": "success msg qsize items results",
    "item_update": "success msg qsize item",
    "item_get": "success msg item",
    "item_remove": "success msg qsize item",
    "item_remove_batch": "success msg qsize items",
    "item_move": "success msg qsize item",
    "item_move_batch": "success msg qsize items",
    "item_execute": "success msg qsize item",
    "re_runs": "success msg run_list run_list_uid",
    "lock": "success msg lock_info lock_info_uid",
    "lock_all": "success msg lock_info lock_info_uid",
    "lock_environment": "success msg lock_info lock_info_uid",
    "lock_queue": "success msg lock_info lock_info_uid",
    "lock_info": "success msg lock_info lock_info_uid",
    "unlock": "success msg lock_info lock_info_uid",
    **dict.fromkeys(BARE.split(), "success msg"),
}


def check_keys(name, reply):
    """Complain about keys that a reply lacks; functions that are not listed may answer anything."""
    missing = set(KEYS.get(name, "").split()) - set(reply if isinstance(reply, dict) else ())
    assert not missing, f"the reply of {name} lacks {sorted(missing)}: {reply}"
