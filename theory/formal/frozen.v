(** Attention that does not tell the sets apart: the network reads the total.

    Label of the book        theorem here
    lem-sign, prop-total     sign_of_the_output (any positive score, odd increasing activation)
    (sigma of def-vit)       power_odd, power_increasing: x^p + nu x for odd p and nu >= 0
    cor-frozen, prop-total   frozen_error, frozen_error_of_the_network: Pr(yF <= 0) = Pr(R <= -C),
                             the same for every set l

    R is the sum of the features outside set l, all of them drawn from the spurious law. *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From mathcomp Require Import ring.
From Formal Require Import order model orbitals.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

Section Activation.
Variables (R : realFieldType) (p : nat) (nu : R).
Hypotheses (odd_p : odd p) (nu_ge0 : 0 <= nu).
Implicit Types x y : R.
Definition power x : R := x ^+ p + nu * x.

Lemma exp_lt x y n : 0 <= x -> x < y -> x ^+ n.+1 < y ^+ n.+1.
Proof.
move=> x0 xy; have y0 : 0 < y := le_lt_trans x0 xy.
elim: n => [|n IH]; first by rewrite !expr1.
rewrite !(exprS _ n.+1); apply: (@le_lt_trans _ _ (x * y ^+ n.+1)).
  by apply: le_mul => //; [rewrite exprn_ge0 // ltW | exact: ltW].
exact: lt_mul (exprn_gt0 _ y0) xy.
Qed.

Lemma exp_odd x : (- x) ^+ p = - x ^+ p.
Proof. by rewrite exprNn -signr_odd odd_p expr1 mulN1r. Qed.

Lemma exp_odd_lt x y : x < y -> x ^+ p < y ^+ p.
Proof.
move: exp_odd odd_p; case: p => // n exp_odd' _ xy; have [x0|x0] := leP 0 x; first exact: exp_lt.
have [y0|y0] := leP 0 y.
  rewrite -[x]opprK exp_odd'; apply: (@lt_le_trans _ _ 0); last exact: exprn_ge0.
  by rewrite -oppr_gt0 opprK exprn_gt0 // oppr_gt0.
have : (- y) ^+ n.+1 < (- x) ^+ n.+1.
  by apply: exp_lt; [rewrite oppr_ge0 ltW | rewrite -subr_gt0 opprK addrC subr_gt0].
by rewrite !exp_odd' -subr_gt0 opprK addrC subr_gt0.
Qed.

Theorem power_odd x : power (- x) = - power x.
Proof. by rewrite /power exp_odd mulrN opprD. Qed.

Theorem power_increasing x y : x < y -> power x < power y.
Proof.
move=> xy; rewrite /power addrC [X in _ < X]addrC le_lt_add ?exp_odd_lt //.
by rewrite -subr_ge0 -mulrBr mulr_ge0 // subr_ge0 ltW.
Qed.
End Activation.

(** The opposite feature. *)
Definition flip (f : feature) : feature := omap negb f.
Lemma value_flip f : value (flip f) = - value f.
Proof. by case: f => [[]|]. Qed.
Lemma flipK : involutive flip.
Proof. by move=> [[]|]. Qed.

Section Sign.
Variables (R : realFieldType) (T : finType) (h : R -> R).
Hypotheses (h_odd : forall u, h (- u) = - h u) (h_lt : forall u v, u < v -> h u < h v).
Variables (c beta : R).
Hypotheses (c_gt0 : 0 < c) (beta_gt : - c < beta).
Implicit Types x : T -> feature.

Definition total_of x : int := \sum_i value (x i).
Definition output x := \sum_i h (c * (total_of x)%:~R + beta * (value (x i))%:~R).

Lemma total_ofE x : \sum_i (value (x i))%:~R = (total_of x)%:~R :> R.
Proof. by rewrite /total_of raddf_sum. Qed.

Lemma h0 : h 0 = 0.
Proof. by have := h_odd 0; rewrite oppr0 => /eqP; rewrite -addr_eq0 -mulr2n mulrn_eq0 => /eqP. Qed.

Lemma h_gt0 u : 0 < u -> 0 < h u.
Proof. by move/h_lt; rewrite h0. Qed.

Lemma sum_gt0 (E : T -> R) (i : T) : (forall i, 0 < E i) -> 0 < \sum_i E i.
Proof.
move=> E_gt0; rewrite (bigD1 i) //= addrC add_ge0_gt0 // sumr_ge0 // => j _.
exact: ltW.
Qed.

(** A feature takes three values, so a function of it is a constant, an even and an odd part. *)
Lemma parts u f : h (u + beta * (value f)%:~R) =
  (if f is Some _ then (h (u + beta) + h (u - beta)) / 2%:R else h u) +
  (value f)%:~R * ((h (u + beta) - h (u - beta)) / 2%:R).
Proof.
rewrite valueE; case: f => [[]|]; rewrite ?mulr1 ?mulrN1 ?mulr0 ?mul0r ?addr0 //.
  by move: (h (u + beta)) (h (u - beta)) => a b; field.
by move: (h (u + beta)) (h (u - beta)) => a b; field.
Qed.

Lemma output_gt0 x : 0 < total_of x -> 0 < output x.
Proof.
move=> pos; set u := c * (total_of x)%:~R.
have t_ge1 : 1 <= (total_of x)%:~R :> R by rewrite -[1]/(1%:~R) ler_int.
have t_ge0 : 0 <= (total_of x)%:~R :> R := le_trans ler01 t_ge1.
have u_ge : c <= u by rewrite -[X in X <= _]mulr1 le_mul // ltW.
have u_gt0 : 0 < u := lt_le_trans c_gt0 u_ge.
have [i _ _] : exists2 i : T, true & true.
  have [i|none] := pickP (fun _ : T => true); first by exists i.
  by move: pos; rewrite /total_of big1 // => i; have := none i.
have pair_gt0 : 0 < h (u + beta) + h (u - beta).
  rewrite -[h (u - beta)]opprK -h_odd subr_gt0; apply: h_lt.
  by rewrite -subr_gt0 opprK addrACA subrr addr0 addr_gt0.
have [beta_ge0|beta_lt0] := leP 0 beta.
  rewrite /output (eq_bigr _ (fun i _ => parts u (x i))) big_split /= -mulr_suml total_ofE.
  rewrite addrC add_ge0_gt0 //.
    rewrite mulr_ge0 // divr_ge0 ?ler0n // subr_ge0.
    have [<-|beta_gt0] := eqVneq 0 beta; first by rewrite subr0 addr0.
    apply/ltW/h_lt; rewrite -subr_gt0 opprD opprK addrACA subrr add0r addr_gt0 //;
      by rewrite lt_neqAle beta_gt0.
  by apply: (sum_gt0 i) => j; case: (x j) => [_|]; rewrite ?half_gt0 ?h_gt0.
have low : 0 < u + beta.
  have cb : 0 < c + beta by rewrite -[c]opprK addrC subr_gt0.
  rewrite (_ : u + beta = (u - c) + (c + beta)); last by rewrite addrA subrK.
  by apply: add_ge0_gt0 => //; rewrite subr_ge0.
apply: (sum_gt0 i) => j; apply: h_gt0; rewrite -/u valueE.
case: (x j) => [[]|]; rewrite ?mulr1 ?mulrN1 ?mulr0 ?addr0 //.
by rewrite addr_gt0 // oppr_gt0.
Qed.

Lemma total_flip x : total_of (flip \o x) = - total_of x.
Proof. by rewrite /total_of -sumrN; apply: eq_bigr => i _; apply: value_flip. Qed.

Lemma output_flip x : output (flip \o x) = - output x.
Proof.
rewrite /output total_flip -sumrN; apply: eq_bigr => i _.
by rewrite -h_odd /= value_flip !rmorphN /= !mulrN opprD.
Qed.

Theorem sign_of_the_sum x :
  [/\ (0 < output x) = (0 < total_of x), (output x < 0) = (total_of x < 0) &
      (output x == 0) = (total_of x == 0)].
Proof.
case: (ltgtP (total_of x) 0) => [neg|pos|zero].
- have : 0 < output (flip \o x) by rewrite output_gt0 // total_flip oppr_gt0.
  by rewrite output_flip oppr_gt0 => lt0; rewrite lt0 lt_eqF // ltNge ltW.
- have gt0 := output_gt0 pos; by rewrite gt0 gt_eqF // ltNge ltW.
suff -> : output x = 0 by rewrite ltxx eqxx.
rewrite /output zero mulr0 (eq_bigr (fun i => (value (x i))%:~R * h beta)) => [|i _].
  by rewrite -mulr_suml total_ofE zero mul0r.
rewrite add0r valueE; case: (x i) => [[]|]; rewrite ?mulr1 ?mulrN1 ?mulr0 ?mul1r ?mulN1r ?mul0r //.
exact: h0.
Qed.
End Sign.

Section Network.
Variables (R : realFieldType) (T : finType) (score act : R -> R) (s g alpha : R).
Hypotheses (score_gt0 : forall a, 0 < score a) (alpha_gt0 : 0 < alpha) (T_gt0 : (0 < #|T|)%N).
Hypotheses (act_odd : forall a, act (- a) = - act a) (act_lt : forall a b, a < b -> act a < act b).
Implicit Types x : T -> feature.

Definition equal_logits (i j : T) := if i == j then s else g.
Definition frozen_output x := network score act equal_logits (fun j => alpha * (value (x j))%:~R).

Definition excess := score s - score g.
Definition total_score := #|T|%:R * score g + excess.
Let b := excess.
Let Z := total_score.

Lemma score_equal i j : score (equal_logits i j) = score g + (i == j)%:R * b.
Proof. by rewrite /equal_logits /b; case: eqP => _; rewrite ?mul0r ?addr0 // mul1r addrC subrK. Qed.

Lemma sum_diagonal (i : T) (f : T -> R) : \sum_j (i == j)%:R * f j = f i.
Proof.
rewrite (bigD1 i) //= eqxx mul1r big1 ?addr0 // => j nij.
by rewrite eq_sym (negbTE nij) mul0r.
Qed.

Lemma ZE i : \sum_k score (equal_logits i k) = Z.
Proof.
rewrite (eq_bigr _ (fun k _ => score_equal i k)) big_split /= sumr_const -mulr_natl.
by rewrite (sum_diagonal i (fun=> b)).
Qed.

Lemma Z_gt0 : 0 < Z.
Proof.
have [i _] := card_gt0P T_gt0; rewrite -(ZE i) (bigD1 i) //= addrC add_ge0_gt0 //.
by rewrite sumr_ge0 // => j _; rewrite ltW.
Qed.

Lemma seen_equal x i : seen score equal_logits (fun j => alpha * (value (x j))%:~R) i =
  #|T|%:R * alpha * (score g / Z * (total_of x)%:~R + b / Z * (value (x i))%:~R).
Proof.
rewrite /seen -mulrA; congr (_ * _).
rewrite (eq_bigr (fun j => alpha / Z * (score g * (value (x j))%:~R +
    (i == j)%:R * (b * (value (x j))%:~R)))) => [|j _]; last first.
  rewrite /attention ZE score_equal.
  by move: (_ == _)%:R (value _)%:~R (Z^-1) (b) (score g) => d v z c k; ring.
rewrite -mulr_sumr big_split /= -mulr_sumr total_ofE sum_diagonal.
by move: (value _)%:~R (total_of x)%:~R (Z^-1) (b) (score g) => d v z c k; ring.
Qed.

Lemma frozen_outputE x : frozen_output x =
  output (fun u => act (#|T|%:R * alpha * u)) (score g / Z) (b / Z) x.
Proof. by apply: eq_bigr => i _; rewrite seen_equal. Qed.

(** lem-sign, prop-total: F has the sign of T. *)
Theorem sign_of_the_output x :
  [/\ (0 < frozen_output x) = (0 < total_of x), (frozen_output x < 0) = (total_of x < 0) &
      (frozen_output x == 0) = (total_of x == 0)].
Proof.
have slope_gt0 : 0 < #|T|%:R * alpha by rewrite mulr_gt0 ?ltr0n.
have Z0 := Z_gt0; rewrite frozen_outputE; apply: sign_of_the_sum => [u|u v uv||].
- by rewrite mulrN act_odd.
- by apply: act_lt; rewrite mulrC [X in _ < X]mulrC lt_mul.
- by rewrite divr_gt0.
rewrite -subr_gt0 opprK -mulrDl divr_gt0 // /b subrK.
exact: score_gt0.
Qed.
End Network.

(** cor-frozen: the error is that of the total. *)
Section Error.
Variables (R : realFieldType) (T I : finType) (part : T -> I) (C : nat) (q : R).
Hypotheses (eqC : equal part C) (C_gt0 : (0 < C)%N) (I_gt0 : (0 < #|I|)%N).

(** Pr(R <= -C) where R sums the n spurious features outside set l. *)
Definition outside l (x : T -> feature) : int := \sum_(j | part j != l) value (x j).
Definition tail l : R := \sum_(x : {ffun T -> feature})
  (\prod_j spurious q (x j)) * ((outside l x <= - C%:Z)%R)%:R.

(** What a patch does inside set l does not matter to a function of those outside. *)
Lemma marginal l (w w' : T -> feature -> R) (f : {ffun T -> feature} -> R) :
  (forall j, \sum_a w j a = 1) -> (forall j, \sum_a w' j a = 1) ->
  (forall j, part j != l -> w j =1 w' j) ->
  (forall x x' : {ffun T -> feature}, (forall j, part j != l -> x j = x' j) -> f x = f x') ->
  \sum_(x : {ffun T -> feature}) (\prod_j w j (x j)) * f x =
  \sum_(x : {ffun T -> feature}) (\prod_j w' j (x j)) * f x.
Proof.
move=> sum1 sum1' same only; pose rest (x : {ffun T -> feature}) : {ffun T -> feature} :=
  [ffun j => if part j == l then None else x j].
rewrite (partition_big rest predT) // [RHS](partition_big rest predT) //=; apply: eq_bigr => z _.
have [e|] := altP (rest z =P z); last first.
  move=> ne; rewrite !big_pred0 // => x; apply: contraNF ne => /eqP <-; apply/eqP/ffunP=> j;
    by rewrite !ffunE; case: (part j == l).
have integrate (u : T -> feature -> R) : (forall j, \sum_a u j a = 1) ->
    \sum_(x | rest x == z) (\prod_j u j (x j)) * f x =
    (\prod_j (if part j == l then 1 else u j (z j))) * f z.
  move=> u1; rewrite (eq_bigr (fun x : {ffun T -> feature} => (\prod_j u j (x j)) * f z));
    last first.
    move=> x /eqP ex; congr (_ * _); apply: only => j nj.
    by have /ffunP/(_ j) := ex; rewrite !ffunE (negbTE nj).
  rewrite -mulr_suml; congr (_ * _); pose Q j a := if part j == l then true else a == z j.
  rewrite (eq_bigl (fun x : {ffun T -> feature} => x \in family Q)) => [|x].
    rewrite -bigA_distr_big_dep; apply: eq_bigr => j _; rewrite /Q.
    by case: ifP => _; rewrite ?u1 ?big_pred1_eq.
  apply/eqP/familyP => [ex j|inQ]; first by rewrite unfold_in /Q -ex ffunE; case: eqP.
  rewrite -e; apply/ffunP=> j; rewrite !ffunE; case: ifP => // nj.
  by have := inQ j; rewrite unfold_in /Q nj => /eqP.
rewrite !integrate //; congr (_ * _); apply: eq_bigr => j _; case: ifP => // /negbT nj.
by rewrite same.
Qed.

Lemma sum_features (f : feature -> R) : \sum_a f a = f None + f (Some true) + f (Some false).
Proof.
rewrite (bigD1 None) //= (bigD1 (Some true)) //= (bigD1 (Some false)) //= big1 ?addr0 ?addrA //.
by case=> [[]|].
Qed.

Lemma sum_spurious : \sum_a spurious q a = 1.
Proof. by rewrite sum_features /spurious; field. Qed.

Lemma sum_signal y : \sum_(a : feature) (a == Some y)%:R = 1 :> R.
Proof. by rewrite sum_features; case: y; rewrite /= ?addr0 ?add0r. Qed.

Lemma tail_flip l : tail l = \sum_(x : {ffun T -> feature})
  (\prod_j spurious q (x j)) * ((C%:Z <= outside l x)%R)%:R.
Proof.
pose turn (x : {ffun T -> feature}) : {ffun T -> feature} := [ffun j => flip (x j)].
have turnK : involutive turn by move=> x; apply/ffunP=> j; rewrite !ffunE flipK.
rewrite (reindex_inj (inv_inj turnK)); apply: eq_bigr => x _; congr (_ * _%:R).
  by apply: eq_bigr => j _; rewrite ffunE; case: (x j) => [[]|].
have -> : outside l (turn x) = - outside l x.
  by rewrite /outside -sumrN; apply: eq_bigr => j _; rewrite ffunE value_flip.
by congr nat_of_bool; rewrite -subr_ge0 -[RHS]subr_ge0 addrC.
Qed.

Lemma tail_any l l' : tail l = tail l'.
Proof.
have same : #|block part l| = #|block part l'| by rewrite !eqC.
pose g := exchange_perm same.
pose turn (x : {ffun T -> feature}) : {ffun T -> feature} := [ffun j => x (g j)].
have turn_inj : injective turn.
  by move=> x x' /ffunP e; apply/ffunP=> j; have := e (g^-1%g j); rewrite !ffunE permKV.
rewrite /tail [RHS](reindex_inj turn_inj); apply: eq_bigr => x _.
have -> : outside l' (turn x) = outside l x.
  rewrite /outside [RHS](reindex_inj (@perm_inj _ g)); apply: eq_big => j; last by rewrite ffunE.
  by rewrite exchange_permE (exchange_part same) -(inj_eq (@perm_inj _ (tperm l l'))) tpermR.
congr (_ * _); rewrite (reindex_inj (@perm_inj _ g)).
by apply: eq_bigr => j _; rewrite ffunE.
Qed.

(** The network, F; errors are counted at yF <= 0, as in def-vit. *)
Variables (F : {ffun T -> feature} -> R).
Hypothesis sign_F : forall x, (0 < F x) = (0 < total_of x) /\ (F x < 0) = (total_of x < 0).

Definition error := \sum_(y : bool) \sum_l \sum_(x : {ffun T -> feature})
  mass part q y l x * (((if y then F x else - F x) <= 0)%R)%:R.

Lemma total_with_signal (x : {ffun T -> feature}) y l :
  (forall j, part j = l -> x j = Some y) -> total_of x = (if y then C%:Z else - C%:Z) + outside l x.
Proof.
move=> signal; rewrite /total_of (bigID (fun j => part j == l)) /=; congr (_ + _).
rewrite (eq_bigr (fun=> if y then 1 else -1)) => [|j /eqP/signal ->]; last by case: (y).
rewrite sumr_const -(eqC l) (eq_card (B := block part l)) => [|j]; last by rewrite in_block.
by case: y {signal}; rewrite ?mulNrn natz.
Qed.

Lemma conditional_error y l :
  \sum_(x : {ffun T -> feature}) mass part q y l x * (((if y then F x else - F x) <= 0)%R)%:R =
  2%:R^-1 * #|I|%:R^-1 * tail l.
Proof.
pose w j a : R := if part j == l then (a == Some y)%:R else spurious q a.
pose f (x : {ffun T -> feature}) : R :=
  if y then ((outside l x <= - C%:Z)%R)%:R else ((C%:Z <= outside l x)%R)%:R.
transitivity (2%:R^-1 * #|I|%:R^-1 * \sum_(x : {ffun T -> feature}) (\prod_j w j (x j)) * f x).
  rewrite mulr_sumr; apply: eq_bigr => x _; rewrite /mass -[LHS]mulrA; congr (_ * _).
  have [zero|] := eqVneq (\prod_j w j (x j)) 0; first by rewrite [X in X * _]zero zero !mul0r.
  move/prodf_neq0 => nz; congr (_ * _); have [pos neg] := sign_F x.
  have total := @total_with_signal x y l _; rewrite /f.
  have {total} : total_of x = (if y then C%:Z else - C%:Z) + outside l x.
    by apply: total => j /eqP e; have := nz j isT; rewrite /w e;
      case: (x j =P _) => // _; rewrite mulr0n eqxx.
  case: y {w nz f} => total; congr (nat_of_bool _)%:R.
    by rewrite leNgt pos -leNgt total -[RHS]subr_ge0 -[LHS]subr_ge0 add0r opprD.
  by rewrite oppr_le0 leNgt neg -leNgt total addrC subr_ge0.
congr (_ * _).
transitivity (\sum_(x : {ffun T -> feature}) (\prod_j spurious q (x j)) * f x); last first.
  by rewrite /f; case: (y); rewrite // tail_flip.
apply: (@marginal l w (fun=> spurious q)) => [j|j|j nj a|x x' same].
- by rewrite /w; case: (part j == l); [exact: sum_signal | exact: sum_spurious].
- exact: sum_spurious.
- by rewrite /w (negbTE nj).
by rewrite /f (_ : outside l x = outside l x') //; apply: eq_bigr => j /same ->.
Qed.

Theorem frozen_error l : error = tail l.
Proof.
rewrite /error; under eq_bigr do under eq_bigr do rewrite conditional_error (tail_any _ l).
have L0 : #|I|%:R != 0 :> R by rewrite pnatr_eq0 -lt0n.
have each (k : R) : \sum_(m : I) 2%:R^-1 * #|I|%:R^-1 * k = k / 2%:R.
  by rewrite sumr_const -[LHS]mulr_natl -mulrA mulrCA [X in _ * X]mulrA mulfV // mul1r mulrC.
by rewrite big_bool /= !each; field.
Qed.
End Error.

(** The same with the network of def-vit put in: no size, slope or step enters the error. *)
Theorem frozen_error_of_the_network (R : realFieldType) (T I : finType) (part : T -> I) (C p : nat)
    (q s g alpha nu : R) (score : R -> R) (l : I) :
  equal part C -> (0 < C)%N -> (0 < #|I|)%N -> (forall a, 0 < score a) -> 0 < alpha -> odd p ->
  0 <= nu ->
  error part q (fun x => frozen_output score (power p nu) s g alpha x) = tail part C q l.
Proof.
move=> eqC C_gt0 I_gt0 score_gt0 alpha_gt0 odd_p nu_ge0; apply: frozen_error => // x.
have T_gt0 : (0 < #|T|)%N by rewrite (card_patches eqC) muln_gt0 I_gt0.
have act_lt a b : a < b -> power p nu a < power p nu b by apply: power_increasing.
by have [] := sign_of_the_output s g score_gt0 alpha_gt0 T_gt0 (power_odd nu odd_p) act_lt x.
Qed.
