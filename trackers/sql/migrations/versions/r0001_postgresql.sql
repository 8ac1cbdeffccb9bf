CREATE TABLE trackers_store (
	id BIGINT NOT NULL,
	uid VARCHAR(32) COLLATE "C" NOT NULL,
	created_at BIGINT NOT NULL,
	artifact_root VARCHAR COLLATE "C" NOT NULL,
	CONSTRAINT pk_trackers_store PRIMARY KEY (id),
	CONSTRAINT ck_trackers_store_one_row CHECK (id = 1)
)
;

CREATE TABLE trackers_counters (
	name VARCHAR(32) COLLATE "C" NOT NULL,
	next BIGINT NOT NULL,
	CONSTRAINT pk_trackers_counters PRIMARY KEY (name)
)
;

CREATE TABLE trackers_experiments (
	id BIGINT NOT NULL,
	uid VARCHAR(32) COLLATE "C" NOT NULL,
	name VARCHAR(250) COLLATE "C" NOT NULL,
	live_name VARCHAR(250) COLLATE "C",
	kind VARCHAR(16) COLLATE "C" NOT NULL,
	description VARCHAR COLLATE "C" NOT NULL,
	created_at BIGINT NOT NULL,
	deleted_at BIGINT,
	CONSTRAINT pk_trackers_experiments PRIMARY KEY (id),
	CONSTRAINT uq_trackers_experiments_uid UNIQUE (uid),
	CONSTRAINT uq_trackers_experiments_live_name UNIQUE (live_name)
)
;

CREATE TABLE trackers_datasets (
	id BIGINT NOT NULL,
	name VARCHAR(250) COLLATE "C" NOT NULL,
	digest VARCHAR(64) COLLATE "C" NOT NULL,
	rows BIGINT,
	schema TEXT,
	source VARCHAR COLLATE "C" NOT NULL,
	CONSTRAINT pk_trackers_datasets PRIMARY KEY (id),
	CONSTRAINT uq_trackers_datasets_name_digest UNIQUE (name, digest)
)
;

CREATE TABLE trackers_blobs (
	digest VARCHAR(64) COLLATE "C" NOT NULL,
	size BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_trackers_blobs PRIMARY KEY (digest)
)
;

CREATE TABLE trackers_registered_models (
	id BIGINT NOT NULL,
	name VARCHAR(250) COLLATE "C" NOT NULL,
	description VARCHAR COLLATE "C" NOT NULL,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_trackers_registered_models PRIMARY KEY (id),
	CONSTRAINT uq_trackers_registered_models_name UNIQUE (name)
)
;

CREATE TABLE trackers_registry_history (
	id BIGINT NOT NULL,
	name VARCHAR(250) COLLATE "C" NOT NULL,
	action VARCHAR(32) COLLATE "C" NOT NULL,
	alias VARCHAR(250) COLLATE "C",
	old_version INTEGER,
	new_version INTEGER,
	actor VARCHAR COLLATE "C" NOT NULL,
	host VARCHAR COLLATE "C" NOT NULL,
	reason VARCHAR COLLATE "C" NOT NULL,
	time BIGINT NOT NULL,
	details TEXT NOT NULL,
	CONSTRAINT pk_trackers_registry_history PRIMARY KEY (id)
)
;

CREATE INDEX ix_trackers_registry_history_name_id ON trackers_registry_history (name, id)
;

CREATE FUNCTION trackers_refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'the history of the registry is append-only'; END$$
;

CREATE TRIGGER trackers_registry_history_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON trackers_registry_history FOR EACH STATEMENT EXECUTE FUNCTION trackers_refuse()
;

CREATE TABLE trackers_experiment_tags (
	experiment_id BIGINT NOT NULL,
	name VARCHAR(250) COLLATE "C" NOT NULL,
	value VARCHAR COLLATE "C" NOT NULL,
	CONSTRAINT pk_trackers_experiment_tags PRIMARY KEY (experiment_id, name),
	CONSTRAINT fk_trackers_experiment_tags_experiment_id FOREIGN KEY(experiment_id) REFERENCES trackers_experiments (id) ON DELETE CASCADE
)
;

CREATE TABLE trackers_studies (
	id BIGINT NOT NULL,
	mode VARCHAR(16) COLLATE "C" NOT NULL,
	directions TEXT NOT NULL,
	metric_names TEXT NOT NULL,
	seed BIGINT NOT NULL,
	total_trials BIGINT,
	status VARCHAR(16) COLLATE "C" NOT NULL,
	reason VARCHAR COLLATE "C" NOT NULL,
	started_at BIGINT,
	ended_at BIGINT,
	last_seq BIGINT NOT NULL,
	epoch BIGINT NOT NULL,
	renewals BIGINT NOT NULL,
	owner_user VARCHAR COLLATE "C",
	owner_host VARCHAR COLLATE "C",
	owner_pid BIGINT,
	owner_started DOUBLE PRECISION,
	owner_since BIGINT,
	owner_ended BIGINT,
	CONSTRAINT pk_trackers_studies PRIMARY KEY (id),
	CONSTRAINT fk_trackers_studies_id FOREIGN KEY(id) REFERENCES trackers_experiments (id) ON DELETE CASCADE
)
;

CREATE TABLE trackers_runs (
	id BIGINT NOT NULL,
	uid VARCHAR(32) COLLATE "C" NOT NULL,
	experiment_id BIGINT NOT NULL,
	number BIGINT,
	parent_id BIGINT,
	name VARCHAR(250) COLLATE "C" NOT NULL,
	state SMALLINT NOT NULL,
	"user" VARCHAR COLLATE "C" NOT NULL,
	host VARCHAR COLLATE "C" NOT NULL,
	created_at BIGINT NOT NULL,
	started_at BIGINT,
	ended_at BIGINT,
	archived_at BIGINT,
	CONSTRAINT pk_trackers_runs PRIMARY KEY (id),
	CONSTRAINT uq_trackers_runs_experiment_id_number UNIQUE (experiment_id, number),
	CONSTRAINT uq_trackers_runs_uid UNIQUE (uid),
	CONSTRAINT fk_trackers_runs_experiment_id FOREIGN KEY(experiment_id) REFERENCES trackers_experiments (id) ON DELETE CASCADE,
	CONSTRAINT fk_trackers_runs_parent_id FOREIGN KEY(parent_id) REFERENCES trackers_runs (id) ON DELETE CASCADE
)
;

CREATE INDEX ix_trackers_runs_created_at_id ON trackers_runs (created_at, id)
;

CREATE INDEX ix_trackers_runs_parent_id ON trackers_runs (parent_id)
;

CREATE TABLE trackers_registered_model_tags (
	model_id BIGINT NOT NULL,
	name VARCHAR(250) COLLATE "C" NOT NULL,
	value VARCHAR COLLATE "C" NOT NULL,
	CONSTRAINT pk_trackers_registered_model_tags PRIMARY KEY (model_id, name),
	CONSTRAINT fk_trackers_registered_model_tags_model_id FOREIGN KEY(model_id) REFERENCES trackers_registered_models (id) ON DELETE CASCADE
)
;

CREATE TABLE trackers_study_documents (
	study_id BIGINT NOT NULL,
	name VARCHAR(32) COLLATE "C" NOT NULL,
	content TEXT NOT NULL,
	CONSTRAINT pk_trackers_study_documents PRIMARY KEY (study_id, name),
	CONSTRAINT fk_trackers_study_documents_study_id FOREIGN KEY(study_id) REFERENCES trackers_studies (id) ON DELETE CASCADE
)
;

CREATE TABLE trackers_study_attrs (
	study_id BIGINT NOT NULL,
	scope VARCHAR(8) COLLATE "C" NOT NULL,
	name VARCHAR(250) COLLATE "C" NOT NULL,
	value TEXT NOT NULL,
	CONSTRAINT pk_trackers_study_attrs PRIMARY KEY (study_id, scope, name),
	CONSTRAINT fk_trackers_study_attrs_study_id FOREIGN KEY(study_id) REFERENCES trackers_studies (id) ON DELETE CASCADE
)
;

CREATE TABLE trackers_distributions (
	study_id BIGINT NOT NULL,
	name VARCHAR(250) COLLATE "C" NOT NULL,
	spec TEXT NOT NULL,
	CONSTRAINT pk_trackers_distributions PRIMARY KEY (study_id, name),
	CONSTRAINT fk_trackers_distributions_study_id FOREIGN KEY(study_id) REFERENCES trackers_studies (id) ON DELETE CASCADE
)
;

CREATE TABLE trackers_events (
	study_id BIGINT NOT NULL,
	seq BIGINT NOT NULL,
	kind VARCHAR(32) COLLATE "C" NOT NULL,
	number BIGINT,
	data TEXT NOT NULL,
	time BIGINT NOT NULL,
	CONSTRAINT pk_trackers_events PRIMARY KEY (study_id, seq),
	CONSTRAINT fk_trackers_events_study_id FOREIGN KEY(study_id) REFERENCES trackers_studies (id) ON DELETE CASCADE
)
;

CREATE TABLE trackers_commands (
	id BIGINT NOT NULL,
	study_id BIGINT NOT NULL,
	token VARCHAR(64) COLLATE "C" NOT NULL,
	kind VARCHAR(32) COLLATE "C" NOT NULL,
	args TEXT NOT NULL,
	author VARCHAR COLLATE "C" NOT NULL,
	created_at BIGINT NOT NULL,
	answered_at BIGINT,
	answer TEXT,
	CONSTRAINT pk_trackers_commands PRIMARY KEY (id),
	CONSTRAINT fk_trackers_commands_study_id FOREIGN KEY(study_id) REFERENCES trackers_studies (id) ON DELETE CASCADE,
	CONSTRAINT uq_trackers_commands_token UNIQUE (token)
)
;

CREATE INDEX ix_trackers_commands_study_id_answered_at ON trackers_commands (study_id, answered_at)
;

CREATE TABLE trackers_attempts (
	run_id BIGINT NOT NULL,
	number INTEGER NOT NULL,
	worker VARCHAR COLLATE "C" NOT NULL,
	host VARCHAR COLLATE "C" NOT NULL,
	pid BIGINT NOT NULL,
	started_at BIGINT,
	ended_at BIGINT,
	outcome VARCHAR(16) COLLATE "C",
	reason VARCHAR COLLATE "C" NOT NULL,
	counts BOOLEAN NOT NULL,
	cpus DOUBLE PRECISION NOT NULL,
	gpus DOUBLE PRECISION NOT NULL,
	code VARCHAR COLLATE "C" NOT NULL,
	CONSTRAINT pk_trackers_attempts PRIMARY KEY (run_id, number),
	CONSTRAINT fk_trackers_attempts_run_id FOREIGN KEY(run_id) REFERENCES trackers_runs (id) ON DELETE CASCADE
)
;

CREATE TABLE trackers_params (
	run_id BIGINT NOT NULL,
	name VARCHAR(250) COLLATE "C" NOT NULL,
	position BIGINT NOT NULL,
	kind SMALLINT NOT NULL,
	number DOUBLE PRECISION,
	number_kind SMALLINT NOT NULL,
	text VARCHAR COLLATE "C",
	CONSTRAINT pk_trackers_params PRIMARY KEY (run_id, name),
	CONSTRAINT fk_trackers_params_run_id FOREIGN KEY(run_id) REFERENCES trackers_runs (id) ON DELETE CASCADE
)
;

CREATE TABLE trackers_results (
	run_id BIGINT NOT NULL,
	objective INTEGER NOT NULL,
	value DOUBLE PRECISION,
	kind SMALLINT NOT NULL,
	CONSTRAINT pk_trackers_results PRIMARY KEY (run_id, objective),
	CONSTRAINT fk_trackers_results_run_id FOREIGN KEY(run_id) REFERENCES trackers_runs (id) ON DELETE CASCADE
)
;

CREATE TABLE trackers_series (
	id BIGINT NOT NULL,
	run_id BIGINT NOT NULL,
	key VARCHAR(250) COLLATE "C" NOT NULL,
	context VARCHAR(250) COLLATE "C" NOT NULL,
	count BIGINT NOT NULL,
	last DOUBLE PRECISION,
	last_kind SMALLINT NOT NULL,
	last_step BIGINT NOT NULL,
	last_attempt INTEGER NOT NULL,
	last_time BIGINT NOT NULL,
	min DOUBLE PRECISION,
	max DOUBLE PRECISION,
	CONSTRAINT pk_trackers_series PRIMARY KEY (id),
	CONSTRAINT uq_trackers_series_run_id_key_context UNIQUE (run_id, key, context),
	CONSTRAINT fk_trackers_series_run_id FOREIGN KEY(run_id) REFERENCES trackers_runs (id) ON DELETE CASCADE
)
;

CREATE TABLE trackers_tags (
	run_id BIGINT NOT NULL,
	name VARCHAR(250) COLLATE "C" NOT NULL,
	value VARCHAR COLLATE "C" NOT NULL,
	CONSTRAINT pk_trackers_tags PRIMARY KEY (run_id, name),
	CONSTRAINT fk_trackers_tags_run_id FOREIGN KEY(run_id) REFERENCES trackers_runs (id) ON DELETE CASCADE
)
;

CREATE TABLE trackers_attrs (
	run_id BIGINT NOT NULL,
	scope VARCHAR(8) COLLATE "C" NOT NULL,
	name VARCHAR(250) COLLATE "C" NOT NULL,
	value TEXT NOT NULL,
	CONSTRAINT pk_trackers_attrs PRIMARY KEY (run_id, scope, name),
	CONSTRAINT fk_trackers_attrs_run_id FOREIGN KEY(run_id) REFERENCES trackers_runs (id) ON DELETE CASCADE
)
;

CREATE TABLE trackers_run_documents (
	run_id BIGINT NOT NULL,
	name VARCHAR(32) COLLATE "C" NOT NULL,
	content TEXT NOT NULL,
	CONSTRAINT pk_trackers_run_documents PRIMARY KEY (run_id, name),
	CONSTRAINT fk_trackers_run_documents_run_id FOREIGN KEY(run_id) REFERENCES trackers_runs (id) ON DELETE CASCADE
)
;

CREATE TABLE trackers_errors (
	run_id BIGINT NOT NULL,
	type VARCHAR COLLATE "C",
	message VARCHAR COLLATE "C",
	traceback VARCHAR COLLATE "C",
	CONSTRAINT pk_trackers_errors PRIMARY KEY (run_id),
	CONSTRAINT fk_trackers_errors_run_id FOREIGN KEY(run_id) REFERENCES trackers_runs (id) ON DELETE CASCADE
)
;

CREATE TABLE trackers_logs (
	run_id BIGINT NOT NULL,
	attempt INTEGER NOT NULL,
	text VARCHAR COLLATE "C" NOT NULL,
	CONSTRAINT pk_trackers_logs PRIMARY KEY (run_id, attempt),
	CONSTRAINT fk_trackers_logs_run_id FOREIGN KEY(run_id) REFERENCES trackers_runs (id) ON DELETE CASCADE
)
;

CREATE TABLE trackers_inputs (
	run_id BIGINT NOT NULL,
	dataset_id BIGINT NOT NULL,
	role VARCHAR(64) COLLATE "C" NOT NULL,
	CONSTRAINT pk_trackers_inputs PRIMARY KEY (run_id, dataset_id, role),
	CONSTRAINT fk_trackers_inputs_run_id FOREIGN KEY(run_id) REFERENCES trackers_runs (id) ON DELETE CASCADE,
	CONSTRAINT fk_trackers_inputs_dataset_id FOREIGN KEY(dataset_id) REFERENCES trackers_datasets (id)
)
;

CREATE INDEX ix_trackers_inputs_dataset_id ON trackers_inputs (dataset_id)
;

CREATE TABLE trackers_artifacts (
	run_id BIGINT NOT NULL,
	name VARCHAR(1000) COLLATE "C" NOT NULL,
	digest VARCHAR(64) COLLATE "C" NOT NULL,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_trackers_artifacts PRIMARY KEY (run_id, name),
	CONSTRAINT fk_trackers_artifacts_run_id FOREIGN KEY(run_id) REFERENCES trackers_runs (id) ON DELETE CASCADE,
	CONSTRAINT fk_trackers_artifacts_digest FOREIGN KEY(digest) REFERENCES trackers_blobs (digest)
)
;

CREATE INDEX ix_trackers_artifacts_digest ON trackers_artifacts (digest)
;

CREATE TABLE trackers_checkpoints (
	run_id BIGINT NOT NULL,
	digest VARCHAR(64) COLLATE "C" NOT NULL,
	step BIGINT,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_trackers_checkpoints PRIMARY KEY (run_id),
	CONSTRAINT fk_trackers_checkpoints_run_id FOREIGN KEY(run_id) REFERENCES trackers_runs (id) ON DELETE CASCADE,
	CONSTRAINT fk_trackers_checkpoints_digest FOREIGN KEY(digest) REFERENCES trackers_blobs (digest)
)
;

CREATE INDEX ix_trackers_checkpoints_digest ON trackers_checkpoints (digest)
;

CREATE TABLE trackers_models (
	uid VARCHAR(32) COLLATE "C" NOT NULL,
	run_id BIGINT NOT NULL,
	name VARCHAR(250) COLLATE "C" NOT NULL,
	flavor VARCHAR(64) COLLATE "C" NOT NULL,
	manifest TEXT,
	size BIGINT NOT NULL,
	step BIGINT,
	value DOUBLE PRECISION,
	value_kind SMALLINT NOT NULL,
	why_not VARCHAR COLLATE "C",
	created_at BIGINT NOT NULL,
	replaced_at BIGINT,
	deleted_at BIGINT,
	deleted_why VARCHAR COLLATE "C" NOT NULL,
	CONSTRAINT pk_trackers_models PRIMARY KEY (uid),
	CONSTRAINT fk_trackers_models_run_id FOREIGN KEY(run_id) REFERENCES trackers_runs (id) ON DELETE CASCADE
)
;

CREATE INDEX ix_trackers_models_run_id_name ON trackers_models (run_id, name)
;

CREATE TABLE trackers_points (
	series_id BIGINT NOT NULL,
	ordinal BIGINT NOT NULL,
	step BIGINT NOT NULL,
	attempt INTEGER NOT NULL,
	time BIGINT NOT NULL,
	value DOUBLE PRECISION,
	kind SMALLINT NOT NULL,
	CONSTRAINT pk_trackers_points PRIMARY KEY (series_id, ordinal),
	CONSTRAINT fk_trackers_points_series_id FOREIGN KEY(series_id) REFERENCES trackers_series (id) ON DELETE CASCADE
)
;

CREATE TABLE trackers_model_files (
	model_uid VARCHAR(32) COLLATE "C" NOT NULL,
	name VARCHAR(1000) COLLATE "C" NOT NULL,
	digest VARCHAR(64) COLLATE "C" NOT NULL,
	CONSTRAINT pk_trackers_model_files PRIMARY KEY (model_uid, name),
	CONSTRAINT fk_trackers_model_files_model_uid FOREIGN KEY(model_uid) REFERENCES trackers_models (uid) ON DELETE CASCADE,
	CONSTRAINT fk_trackers_model_files_digest FOREIGN KEY(digest) REFERENCES trackers_blobs (digest)
)
;

CREATE INDEX ix_trackers_model_files_digest ON trackers_model_files (digest)
;

CREATE TABLE trackers_model_versions (
	model_id BIGINT NOT NULL,
	version INTEGER NOT NULL,
	model_uid VARCHAR(32) COLLATE "C" NOT NULL,
	run_id BIGINT,
	source VARCHAR COLLATE "C" NOT NULL,
	description VARCHAR COLLATE "C" NOT NULL,
	metrics TEXT NOT NULL,
	lineage TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	created_by VARCHAR COLLATE "C" NOT NULL,
	CONSTRAINT pk_trackers_model_versions PRIMARY KEY (model_id, version),
	CONSTRAINT uq_trackers_model_versions_model_id_model_uid UNIQUE (model_id, model_uid),
	CONSTRAINT fk_trackers_model_versions_model_id FOREIGN KEY(model_id) REFERENCES trackers_registered_models (id) ON DELETE CASCADE,
	CONSTRAINT fk_trackers_model_versions_model_uid FOREIGN KEY(model_uid) REFERENCES trackers_models (uid)
)
;

CREATE INDEX ix_trackers_model_versions_model_uid ON trackers_model_versions (model_uid)
;

CREATE TABLE trackers_model_version_tags (
	model_id BIGINT NOT NULL,
	version INTEGER NOT NULL,
	name VARCHAR(250) COLLATE "C" NOT NULL,
	value VARCHAR COLLATE "C" NOT NULL,
	CONSTRAINT pk_trackers_model_version_tags PRIMARY KEY (model_id, version, name),
	CONSTRAINT fk_trackers_model_version_tags_model_id_version FOREIGN KEY(model_id, version) REFERENCES trackers_model_versions (model_id, version) ON DELETE CASCADE
)
;

CREATE TABLE trackers_aliases (
	model_id BIGINT NOT NULL,
	alias VARCHAR(250) COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	CONSTRAINT pk_trackers_aliases PRIMARY KEY (model_id, alias),
	CONSTRAINT fk_trackers_aliases_model_id_version FOREIGN KEY(model_id, version) REFERENCES trackers_model_versions (model_id, version)
)
;

CREATE INDEX ix_trackers_aliases_model_id_version ON trackers_aliases (model_id, version)
;
